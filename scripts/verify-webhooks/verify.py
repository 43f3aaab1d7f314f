"""Checks signed payloads with the Standard Webhooks library for Python: each must verify with both secrets, and no more once
one character of it has changed. Reads JSON lines from standard input."""

import json
import sys

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

good = refused = 0
for line in sys.stdin:
    case = json.loads(line)
    headers = {
        "webhook-id": case["id"],
        "webhook-timestamp": case["timestamp"],
        "webhook-signature": case["signature"],
    }
    for secret in (case["secret"], case["oldSecret"]):
        Webhook(secret).verify(case["payload"], headers)
    good += 1
    changed = case["payload"][:-1] + " " + case["payload"][-1]
    try:
        Webhook(case["secret"]).verify(changed, headers)
    except WebhookVerificationError:
        refused += 1
print(f"python: {good} verified, {refused} changed ones refused")
sys.exit(0 if good == refused > 0 else 1)
