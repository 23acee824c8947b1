"""The provider's pages: written on the server, without scripts, Peruvian Spanish first.

Spec:    https://www.w3.org/TR/CSP3/; https://html.spec.whatwg.org/multipage/form-control-infrastructure.html#autofill
Leaves:  what stands in them to templates; who may see them to routes.
"""

from __future__ import annotations

import base64
from hashlib import sha256
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse, Response

_STYLE: Final = """
body{font:1.1rem/1.5 system-ui,sans-serif;max-width:30rem;margin:3rem auto;padding:0 1rem;color:#1b1b1b}
label{display:block;margin-top:1rem}label small,p small{color:#555;display:block}
input{font:inherit;width:100%;padding:.5rem;box-sizing:border-box;border:1px solid #767676;border-radius:.25rem}
button{font:inherit;margin-top:1.5rem;padding:.6rem 1.2rem;border:0;border-radius:.25rem;background:#7a1f1f;color:#fff}
.refused{border-left:.4rem solid #b00020;padding:.5rem 1rem}code{overflow-wrap:anywhere}
""".strip()
_STYLE_HASH: Final = base64.b64encode(sha256(_STYLE.encode()).digest()).decode()
_ENVIRONMENT: Final = Environment(
    loader=PackageLoader("exchange.provider"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)


def page(name: str, status: int = 200, **told: Any) -> Response:
    """A page. Its form leads nowhere else: browsers hold redirects after a form against the policy as well."""
    text = _ENVIRONMENT.get_template(f"{name}.html").render(style=_STYLE, **told)
    policy = (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; frame-ancestors 'none'; "
        "base-uri 'none'"
    )
    headers = {
        "Content-Security-Policy": policy, "Cache-Control": "no-store", "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
    }  # fmt: skip
    return HTMLResponse(text, status, headers=headers)
