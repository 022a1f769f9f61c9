# syntax=docker/dockerfile:1
# Two stages: the first installs the locked packages and the project, the second carries only what runs.
ARG PYTHON=3.12
FROM python:${PYTHON}-slim AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/trader
WORKDIR /src
COPY requirements-run.lock ./
RUN /opt/trader/bin/pip install --require-hashes -r requirements-run.lock
COPY pyproject.toml README.md LICENSE ./
COPY trader ./trader
COPY strategies ./strategies
COPY backtests ./backtests
RUN /opt/trader/bin/pip install --no-deps --no-build-isolation .

FROM python:${PYTHON}-slim
RUN groupadd --system --gid 10001 trader \
    && useradd --system --uid 10001 --gid trader --home-dir /home/trader --create-home trader \
    && install -d -o trader -g trader /home/trader/build /home/trader/state /home/trader/studies /home/trader/metrics
ENV PATH=/opt/trader/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
COPY --from=build /opt/trader /opt/trader
WORKDIR /home/trader
# The sample of real candles is package data of `backtests`; the configurations are not part of a package.
COPY config ./config
USER trader
VOLUME ["/home/trader/build", "/home/trader/state", "/home/trader/studies", "/home/trader/metrics"]
ENTRYPOINT ["trader"]
CMD ["backtest", "config/backtest.yaml", "--report", "build/backtest.html"]
