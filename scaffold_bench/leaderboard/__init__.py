"""The leaderboard: submissions sorted into boards, and its static pages."""
