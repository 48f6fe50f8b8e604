# Two commands matter: `make demo` shows a hand that hammers, `make test` installs everything and runs all checks;
# `make demo-vlm` makes a plan from a picture with a stand-in for Gemini, and follows it. All start from a fresh
# checkout and need only Python >= 3.10 (and, for pictures, root and apt once).

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The CPU build is tested; an unpinned torch pulls gigabytes of CUDA packages on Linux.
TORCH ?= torch==2.13.0
OUT := runs/demo-$(shell date +%Y%m%d-%H%M%S)

.PHONY: demo demo-vlm test lint typecheck docs reference assets states vulkan clean

demo: $(VENV)/.installed vulkan
	$(BIN)/scaffold-bench evaluate --policy zoo:residual-ppo --tasks hammer --preset quick --video 1 --out $(OUT)

demo-vlm: $(VENV)/.installed vulkan
	$(BIN)/scaffold-bench plans make --provider simulated-vlm --tasks hammer --split eval -n 1 --out $(OUT)/plans.npz
	$(BIN)/scaffold-bench plans show $(OUT)/plans.npz --task hammer --split eval --out $(OUT)/plan.png
	$(BIN)/scaffold-bench evaluate --policy zoo:residual-ppo --tasks hammer --states 1 --trials 1 --video 1 \
		--scaffolds $(OUT)/plans.npz --out $(OUT)/run

test: $(VENV)/.installed-dev vulkan
	$(BIN)/python -m pytest -n 2 $(PYTEST_ARGS)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

typecheck: $(VENV)/.installed-dev
	$(BIN)/mypy

docs: $(VENV)/.installed vulkan
	$(BIN)/python scripts/make_docs.py

# The documentation as a site in build/site, with the reference from the docstrings; a warning is a failure.
reference: $(VENV)/.installed-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

assets: $(VENV)/.installed-dev
	$(BIN)/python scripts/make_assets.py

states: $(VENV)/.installed
	$(BIN)/python scripts/make_states.py

vulkan:
	@scripts/install_vulkan.sh

$(VENV)/.torch:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "scaffold_bench needs Python 3.10 or newer; call make PYTHON=python3.11" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "$(TORCH)"
	@touch $@

$(VENV)/.installed: $(VENV)/.torch pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.torch pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[dev]"
	@touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) runs dist build
