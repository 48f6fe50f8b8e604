"""A planner that asks a vision-language model: keypoints in the picture first, then their trajectories."""
