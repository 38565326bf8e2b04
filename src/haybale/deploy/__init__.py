"""Deploying: tags, the commit behind them, Flux, what runs where."""
