// Checks signed payloads with the Standard Webhooks library for JavaScript: each must verify with both secrets, and no more
// once one character of it has changed. Reads JSON lines from standard input.
import { createInterface } from "node:readline";
import { createRequire } from "node:module";

const require = createRequire(process.env.VERIFY_MODULES + "/");
const { Webhook, WebhookVerificationError } = require("standardwebhooks");

let good = 0;
let refused = 0;
for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
  const given = JSON.parse(line);
  const headers = {
    "webhook-id": given.id,
    "webhook-timestamp": given.timestamp,
    "webhook-signature": given.signature,
  };
  for (const secret of [given.secret, given.oldSecret]) new Webhook(secret).verify(given.payload, headers);
  good += 1;
  const changed = given.payload.slice(0, -1) + " " + given.payload.slice(-1);
  try {
    new Webhook(given.secret).verify(changed, headers);
  } catch (error) {
    if (error instanceof WebhookVerificationError) refused += 1;
  }
}
console.log(`javascript: ${good} verified, ${refused} changed ones refused`);
process.exit(good === refused && good > 0 ? 0 : 1);
