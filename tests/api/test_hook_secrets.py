"""A webhook's secret: one that is empty or short lets anybody in, so the API does not start with it."""

import pytest

from trader.run_settings import load_run
from trader.serving import served
from trader.settings import SettingsError

CONFIG = """\
version: 1
name: hooks
capital: 1000
assets: [BTC/USDT]
strategy: {{name: FollowSignal, parameters: {{}}}}
limits: {{weight_per_asset: 60%}}
state: state
api:
  hooks:
    tv: {{secret_file: hook.secret, proof: {proof}}}
"""


@pytest.mark.parametrize("proof", ["body", "hmac"])
@pytest.mark.parametrize("secret", ["", "\n", "fifteen-letters"])
def test_an_empty_or_short_secret_is_refused_by_name(tmp_path, proof, secret):
    path = tmp_path / "run.yaml"
    path.write_text(CONFIG.format(proof=proof))
    (tmp_path / "hook.secret").write_text(secret)
    settings, _ = load_run(path)
    with pytest.raises(SettingsError, match="api.hooks.tv.secret_file.*(at least 16|is empty)") as found:
        served(settings, path)
    assert not secret.strip() or secret not in str(found.value)
