# The template's own verbs; a baked project has a Makefile of its own.
.DEFAULT_GOAL := help
PYTHON = build/venv/bin/python
export PYTHONDONTWRITEBYTECODE = 1

build/venv/ready: pyproject.toml tools/venv.sh
	@bash tools/venv.sh build/venv

build/bake/ready: pyproject.toml tools/venv.sh
	@bash tools/venv.sh build/bake bake

.PHONY: help demo test lint bench faults bake clean

demo: build/bake/ready ## bake into build/ and train there: in a container if an engine answers, else in the sandbox
	@bash tools/demo.sh

test: build/venv/ready ## run all tests (ARGS='-k signals'); an engine is started where none answers
	@bash tools/setup-tests.sh
	@PATH="$(CURDIR)/build/venv/bin:$$PATH" $(PYTHON) -m pytest -n 2 --dist loadfile $(ARGS)

lint: build/venv/ready ## ruff, mypy and shellcheck over the repository and the template
	@PATH="$(CURDIR)/build/venv/bin:$$PATH" bash tools/lint.sh

bench: build/venv/ready ## print ratios over bare `docker run` (ARGS=--peers: the SageMaker SDK and sagify too)
	@PATH="$(CURDIR)/build/venv/bin:$$PATH" $(PYTHON) benchmarks/bench.py $(ARGS)

faults: build/venv/ready ## attack jobs and print what is lost or left (TRIES=20 ENGINES=docker,podman ROWS=disk)
	@PATH="$(CURDIR)/build/venv/bin:$$PATH" $(PYTHON) benchmarks/faults.py $(TRIES:%=--tries=%) $(ENGINES:%=--engines=%) \
	  --rows='$(ROWS)'

bake: build/bake/ready ## bake a project into build/ (ANSWERS='project=churn gpu=none')
	@build/bake/bin/cookiecutter --no-input --overwrite-if-exists --output-dir build . $(ANSWERS)

clean: ## delete build/
	rm -rf build

help: ## list the verbs
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' Makefile | while IFS='	' read -r verb text; do printf '%-6s %s\n' "$$verb" "$$text"; done
