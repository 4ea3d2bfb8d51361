#include "api_schema.h"

#include <string.h>

#define MUST true, false
#define MAY false, false
#define NULLABLE true, true
#define FIELDS(name) name, sizeof name / sizeof name[0]

#define OP_TYPES                                                                                   \
  "earn settle mature grant deposit spend hold capture void block unblock transfer adjust "        \
  "quarantine release reverse"
#define ENTRY_TYPES OP_TYPES " expire credit bounce"
#define BUCKETS "earned pending claimable held claiming blocked quarantine debt"
#define SCOPES "ledger:write ledger:read users:write users:read admin"

/* ---- requests -------------------------------------------------------------------------------- */

static const struct api_field op_request[] = {
  {"type", API_WORD, MUST, OP_TYPES, "What to do.", "\"grant\""},
  {"user_id", API_ID, MUST, NULL, "Whose balances change.", "\"17\""},
  {"asset", API_TEXT, MAY, "\"minLength\":1,\"maxLength\":16",
   "Code of the asset; may be left out where hold_id, block_id or reverses names it.", "\"COIN\""},
  {"amount", API_AMOUNT, MAY, NULL,
   "Above zero, with at most as many digits behind the point as the asset's scale; of an adjust "
   "it may be negative. Left out of capture, void, unblock and reverse: all that is left.",
   "\"12.50\""},
  {"hold_id", API_ID, MAY, NULL, "The hold that a capture or void resolves.", NULL},
  {"block_id", API_ID, MAY, NULL, "The block that an unblock lifts.", NULL},
  {"reverses", API_ID, MAY, NULL, "The op that a reverse takes back.", NULL},
  {"to_user_id", API_ID, MAY, NULL, "Who gets a transfer.", NULL},
  {"to", API_TEXT, MAY, "\"minLength\":1,\"maxLength\":32",
   "Partner of a spend or capture: letters, digits and . _ : -", NULL},
  {"source", API_TEXT, MAY, "\"minLength\":1,\"maxLength\":32",
   "Where an earn, grant, deposit or quarantine comes from; a deposit from \"chain\" is an "
   "on-chain one.",
   NULL},
  {"bucket", API_WORD, MAY, BUCKETS, "What a block takes from.", "\"claimable\""},
  {"timeout_s", API_INTEGER, MAY, "\"minimum\":1,\"maximum\":315360000",
   "Seconds until a hold expires; left out: never.", "900"},
  {"final", API_BOOLEAN, MAY, NULL, "Does a capture release the rest of its hold? Default true.",
   "true"},
  {"effective_at", API_TIME, MAY, NULL,
   "When it happened, if not now. A time to come counts as now; one more than a day ahead is "
   "refused.",
   NULL},
  {"if_version", API_INTEGER, MAY, "\"minimum\":0", "Refuse unless the user's version is this one.",
   NULL},
  {"reason", API_TEXT, MAY, "\"minLength\":1,\"maxLength\":256",
   "For people; an adjust requires one.", NULL},
  {"metadata", API_OBJECT, MAY, NULL, "Anything, up to 4096 bytes of JSON.", "{\"order\":\"A-1\"}"},
  {"idempotency_key", API_TEXT, MAY, "\"minLength\":1,\"maxLength\":255",
   "Only in a batch, and required there; a single op has the header Idempotency-Key.", NULL},
};

static const struct api_field batch_request[] = {
  {"ops", API_LIST, MUST, "OpRequest", "1 to 8192 of them, judged in this order.", NULL},
  {"atomic", API_BOOLEAN, MAY, NULL, "All or none; then all are of one user.", "false"},
};

static const struct api_field user_request[] = {
  {"kind", API_WORD, MUST, "guest registered", "What the user is.", "\"registered\""},
  {"external_id", API_TEXT, MAY, "\"minLength\":1,\"maxLength\":128",
   "The caller's own id of the user; unique.", "\"customer-4711\""},
  {"profile", API_OBJECT, MAY, NULL, "Anything, up to 4096 bytes of JSON.", NULL},
};

static const struct api_field status_request[] = {
  {"status", API_WORD, MUST, "open closed", "A closed user only receives.", "\"closed\""},
};

static const struct api_field asset_request[] = {
  {"code", API_TEXT, MUST, "\"minLength\":1,\"maxLength\":16",
   "Letters, digits and . _ -, a letter or digit first.", "\"COIN\""},
  {"scale", API_INTEGER, MUST, "\"minimum\":0,\"maximum\":18", "Digits behind the point.", "8"},
  {"name", API_TEXT, MAY, "\"minLength\":1,\"maxLength\":64", "For people.", NULL},
  {"chain", API_TEXT, MAY, "\"minLength\":1,\"maxLength\":32", "The chain that it lives on.", NULL},
  {"contract", API_TEXT, MAY, "\"minLength\":1,\"maxLength\":128", "Its contract there.", NULL},
  {"chain_decimals", API_INTEGER, MAY, "\"minimum\":0,\"maximum\":38", "Its scale there.", NULL},
};

static const struct api_field key_request[] = {
  {"scopes", API_WORDS, MUST, SCOPES, "What it may do.", "[\"ledger:read\"]"},
  {"id", API_TEXT, MAY, "\"pattern\":\"^[a-z0-9]{4,32}$\"", "Chosen for you when left out.", NULL},
  {"name", API_TEXT, MAY, "\"minLength\":1,\"maxLength\":64", "For people.", NULL},
};

/* ---- replies --------------------------------------------------------------------------------- */

static const struct api_field balance[] = {
  {"earned", API_AMOUNT, MUST, NULL, "Earned, not settled.", NULL},
  {"pending", API_AMOUNT, MUST, NULL, "Settled, not mature.", NULL},
  {"claimable", API_AMOUNT, MUST, NULL, "Free to spend, move or claim.", NULL},
  {"held", API_AMOUNT, MUST, NULL, "In open holds.", NULL},
  {"claiming", API_AMOUNT, MUST, NULL, "On its way to a chain.", NULL},
  {"blocked", API_AMOUNT, MUST, NULL, "In open blocks.", NULL},
  {"quarantine", API_AMOUNT, MUST, NULL, "Waiting for a review.", NULL},
  {"debt", API_AMOUNT, MUST, NULL, "Owed; later credits pay it first.", NULL},
  {"available", API_AMOUNT, MUST, NULL, "The same as claimable.", NULL},
  {"total", API_AMOUNT, MUST, NULL, "All of the above less the debt.", NULL},
  {"claimed_total", API_AMOUNT, MUST, NULL, "Claimed so far, in all.", NULL},
  {"spent_total", API_AMOUNT, MUST, NULL, "Spent so far, in all, less what was reversed.", NULL},
};

static const struct api_field entry[] = {
  {"id", API_ID, MUST, NULL, "Of the entry.", "\"33\""},
  {"partition", API_INTEGER, MUST, "\"minimum\":0", "Where its user lives.", NULL},
  {"seq", API_INTEGER, MUST, "\"minimum\":1", "Its place in the partition; no gaps.", NULL},
  {"user_id", API_ID, MUST, NULL, "Whose it is.", NULL},
  {"version", API_INTEGER, MUST, "\"minimum\":1", "Of the user, after it; no gaps.", NULL},
  {"op_id", API_ID, MUST, NULL, "The op that made it.", NULL},
  {"type", API_WORD, MUST, ENTRY_TYPES, "Of its op.", NULL},
  {"asset", API_TEXT, MUST, NULL, "Code of the asset.", NULL},
  {"from", API_TEXT, MUST, NULL, "A bucket, or a system account (sys:…).", "\"sys:rewards\""},
  {"to", API_TEXT, MUST, NULL, "Likewise.", "\"claimable\""},
  {"amount", API_AMOUNT, MUST, NULL, "What moved; above zero.", NULL},
  {"balances_after", API_REF, MUST, "Balance", "The asset's balances after it.", NULL},
  {"effective_at", API_TIME, MUST, NULL, "When it happened.", NULL},
  {"recorded_at", API_TIME, MUST, NULL, "When it was recorded.", NULL},
  {"metadata", API_OBJECT, NULLABLE, NULL, "As it was given; null when none, or erased.", NULL},
  {"reason", API_TEXT, MAY, NULL, "As it was given.", NULL},
  {"hold_id", API_ID, MAY, NULL, "The hold that it makes or resolves.", NULL},
  {"block_id", API_ID, MAY, NULL, "The block that it makes or lifts.", NULL},
  {"transfer_id", API_ID, MAY, NULL, "The transfer that it is a part of.", NULL},
  {"reverses", API_ID, MAY, NULL, "The op that it takes back.", NULL},
  {"reversed_by", API_ID, MAY, NULL, "The newest op that takes it back.", NULL},
  {"counterparty_user_id", API_ID, MAY, NULL, "The other side of a transfer.", NULL},
  {"expires_at", API_TIME, MAY, NULL, "When the hold that it makes expires.", NULL},
  {"label", API_TEXT, MAY, NULL, "`to` or `source` of its op.", NULL},
  {"actor", API_TEXT, MUST, NULL, "Who asked for it.", "\"key:backend\""},
  {"correlation_id", API_TEXT, MUST, NULL, "X-Request-Id of the request that made it.", NULL},
  {"hash", API_TEXT, MUST, "\"pattern\":\"^[0-9a-f]{64}$\"",
   "SHA-256 over the user's entry before it and this one.", NULL},
};

#define OP_FIELDS                                                                                  \
  {"op_id", API_ID, MUST, NULL, "Of the operation.", NULL},                                        \
    {"type", API_WORD, MUST, ENTRY_TYPES, "What it was.", NULL},                                   \
    {"status", API_WORD, MUST, "applied", "Always applied: a refusal is a problem.", NULL},        \
    {"entries", API_LIST, MUST, "Entry", "What it wrote.", NULL},                                  \
    {"balances", API_MAP, MUST, "Balance", "By asset code, after it.", NULL},                      \
    {"version", API_INTEGER, MUST, "\"minimum\":1", "Of the user, after it.", NULL},               \
    {"hold_id", API_ID, MAY, NULL, "The hold that it made or resolved.", NULL},                    \
    {"block_id", API_ID, MAY, NULL, "The block that it made or lifted.", NULL},                    \
    {"transfer_id", API_ID, MAY, NULL, "The transfer that it began.", NULL},                       \
    {"reverses", API_ID, MAY, NULL, "The op that it took back.", NULL},

static const struct api_field op_result[] = {OP_FIELDS};

static const struct api_field op[] = {
  OP_FIELDS{"user_id", API_ID, MUST, NULL, "Whose it is.", NULL},
  {"transfer", API_REF, MAY, "Transfer", "Where its transfer stands.", NULL},
  {"reversals", API_LIST, MUST, "Reversal", "What took it back, in parts or whole.", NULL},
};

static const struct api_field transfer[] = {
  {"id", API_ID, MUST, NULL, "Of the transfer.", NULL},
  {"state", API_WORD, MUST, "in_transit credited bounced", "How far it is.", NULL},
  {"from_user_id", API_ID, MUST, NULL, "The payer.", NULL},
  {"to_user_id", API_ID, MUST, NULL, "The payee.", NULL},
  {"asset", API_TEXT, MUST, NULL, "Code of the asset.", NULL},
  {"amount", API_AMOUNT, MUST, NULL, "What moves.", NULL},
  {"partner_op_id", API_ID, NULLABLE, NULL, "The credit, or the bounce.", NULL},
};

static const struct api_field reversal[] = {
  {"op_id", API_ID, MUST, NULL, "The op that took it back.", NULL},
  {"amount", API_AMOUNT, MUST, NULL, "How much of it.", NULL},
};

static const struct api_field batch_item[] = {
  {"index", API_INTEGER, MUST, "\"minimum\":0", "Its place in the request.", NULL},
  {"status", API_WORD, MUST, "applied refused failed",
   "Refused by the ledger, which is remembered for the key; or failed, which is not.", NULL},
  {"op_id", API_ID, MAY, NULL, "Applied: as in the reply of a single op, like what follows.", NULL},
  {"type", API_WORD, MAY, ENTRY_TYPES, "What it was.", NULL},
  {"entries", API_LIST, MAY, "Entry", "What it wrote.", NULL},
  {"balances", API_MAP, MAY, "Balance", "By asset code, after it.", NULL},
  {"version", API_INTEGER, MAY, "\"minimum\":1", "Of the user, after it.", NULL},
  {"hold_id", API_ID, MAY, NULL, "The hold that it made or resolved.", NULL},
  {"block_id", API_ID, MAY, NULL, "The block that it made or lifted.", NULL},
  {"transfer_id", API_ID, MAY, NULL, "The transfer that it began.", NULL},
  {"reverses", API_ID, MAY, NULL, "The op that it took back.", NULL},
  {"code", API_TEXT, MAY, NULL, "Refused or failed: as in a problem, like what follows.", NULL},
  {"title", API_TEXT, MAY, NULL, "The code in words.", NULL},
  {"detail", API_TEXT, MAY, NULL, "More about this occurrence.", NULL},
  {"field", API_TEXT, MAY, NULL, "What it is about.", NULL},
  {"suggestion", API_TEXT, MAY, NULL, "What would work.", NULL},
  {"retry_after", API_INTEGER, MAY, "\"minimum\":1", "Seconds.", NULL},
  {"replayed", API_BOOLEAN, MAY, NULL, "The key was known: this is its outcome.", NULL},
};

static const struct api_field batch_result[] = {
  {"results", API_LIST, MUST, "BatchItem", "One for each op, in its place.", NULL},
};

static const struct api_field balances[] = {
  {"user_id", API_ID, MUST, NULL, "Whose they are.", NULL},
  {"version", API_INTEGER, MUST, "\"minimum\":0", "Of the user, then.", NULL},
  {"as_of", API_TIME, MUST, NULL, "When they were so.", NULL},
  {"balances", API_MAP, MUST, "Balance",
   "By asset code. Assets that the user never had are zeros; beyond 64 assets they are left out.",
   NULL},
};

#define PAGE_FIELDS(item)                                                                          \
  {"data", API_LIST, MUST, item, "The items.", NULL},                                              \
    {"next_cursor", API_TEXT, NULLABLE, NULL, "For the next page; null: this is the last.", NULL},

static const struct api_field entry_page[] = {PAGE_FIELDS("Entry")};
static const struct api_field hold_page[] = {PAGE_FIELDS("Hold")};
static const struct api_field asset_page[] = {PAGE_FIELDS("Asset")};
static const struct api_field key_page[] = {PAGE_FIELDS("Key")};

static const struct api_field user[] = {
  {"id", API_ID, MUST, NULL, "Of the user.", "\"17\""},
  {"external_id", API_TEXT, NULLABLE, NULL, "The caller's own id.", NULL},
  {"kind", API_WORD, MUST, "guest registered", "What the user is.", NULL},
  {"status", API_WORD, MUST, "open closed", "A closed user only receives.", NULL},
  {"profile", API_OBJECT, NULLABLE, NULL, "As it was given.", NULL},
  {"created_at", API_TIME, MUST, NULL, "When.", NULL},
};

static const struct api_field user_status[] = {
  {"id", API_ID, MUST, NULL, "Of the user.", NULL},
  {"status", API_WORD, MUST, "open closed", "As it is now.", NULL},
  {"version", API_INTEGER, MUST, "\"minimum\":0", "Of the user.", NULL},
};

static const struct api_field hold[] = {
  {"id", API_ID, MUST, NULL, "Of the hold: the op that made it.", NULL},
  {"user_id", API_ID, MUST, NULL, "Whose it is.", NULL},
  {"asset", API_TEXT, MUST, NULL, "Code of the asset.", NULL},
  {"state", API_WORD, MUST, "open captured voided expired", "What became of it.", NULL},
  {"amount", API_AMOUNT, MUST, NULL, "As it was made.", NULL},
  {"remaining", API_AMOUNT, MUST, NULL, "What can still be captured.", NULL},
  {"created_at", API_TIME, MUST, NULL, "When.", NULL},
  {"expires_at", API_TIME, NULLABLE, NULL, "null: never.", NULL},
  {"resolved_at", API_TIME, NULLABLE, NULL, "null: it is open.", NULL},
};

static const struct api_field block[] = {
  {"id", API_ID, MUST, NULL, "Of the block: the op that made it.", NULL},
  {"user_id", API_ID, MUST, NULL, "Whose it is.", NULL},
  {"asset", API_TEXT, MUST, NULL, "Code of the asset.", NULL},
  {"bucket", API_WORD, MUST, BUCKETS, "Where it came from and goes back to.", NULL},
  {"state", API_WORD, MUST, "open resolved", "Is anything left of it?", NULL},
  {"amount", API_AMOUNT, MUST, NULL, "As it was made.", NULL},
  {"remaining", API_AMOUNT, MUST, NULL, "What is still blocked.", NULL},
  {"created_at", API_TIME, MUST, NULL, "When.", NULL},
  {"resolved_at", API_TIME, NULLABLE, NULL, "null: it is open.", NULL},
};

static const struct api_field asset[] = {
  {"code", API_TEXT, MUST, NULL, "Its name in this API.", "\"COIN\""},
  {"scale", API_INTEGER, MUST, "\"minimum\":0,\"maximum\":18", "Digits behind the point.", "8"},
  {"name", API_TEXT, NULLABLE, NULL, "For people.", NULL},
  {"chain", API_TEXT, NULLABLE, NULL, "The chain that it lives on.", NULL},
  {"contract", API_TEXT, NULLABLE, NULL, "Its contract there.", NULL},
  {"chain_decimals", API_INTEGER, NULLABLE, "\"minimum\":0,\"maximum\":38", "Its scale there.",
   NULL},
  {"created_at", API_TIME, MUST, NULL, "When.", NULL},
};

#define KEY_FIELDS                                                                                 \
  {"name", API_TEXT, NULLABLE, NULL, "For people.", NULL},                                         \
    {"scopes", API_WORDS, MUST, SCOPES, "What it may do.", NULL},                                  \
    {"created_at", API_TIME, MUST, NULL, "When.", NULL},                                           \
    {"revoked_at", API_TIME, NULLABLE, NULL, "null: it is valid.", NULL},

static const struct api_field key[] = {{"id", API_TEXT, MUST, NULL, "Of the key.", NULL},
                                       KEY_FIELDS};
static const struct api_field new_key[] = {
  {"id", API_TEXT, MUST, NULL, "Of the key.", NULL},
  {"key", API_TEXT, MUST, NULL, "The whole key. It is not shown again.", NULL},
  KEY_FIELDS};

static const struct api_field config[] = {
  {"version", API_TEXT, MUST, NULL, "Of the server.", NULL},
  {"limits", API_OBJECT, MUST, NULL, "Sizes that requests are held to.", NULL},
  {"rate", API_OBJECT, MUST, NULL, "Requests per window and service key; 0: no limit.", NULL},
};
static const struct api_field flags[] = {
  {"flags", API_SWITCHES, MUST, NULL, "By name.", NULL},
};
static const struct api_field health[] = {
  {"status", API_WORD, MUST, "ok ready", "Anything else is a problem.", NULL},
  {"checks", API_OBJECT, MAY, NULL, "With ?verbose: each check and its result.", NULL},
};
static const struct api_field openapi[] = {
  {"openapi", API_TEXT, MUST, NULL, "Version of the format.", "\"3.1.0\""},
};

static const struct api_field problem[] = {
  {"type", API_TEXT, MUST, NULL, "A URI that names the code.", NULL},
  {"title", API_TEXT, MUST, NULL, "The code in words.", NULL},
  {"status", API_INTEGER, MUST, "\"minimum\":400,\"maximum\":599", "The reply's status.", NULL},
  {"code", API_TEXT, MUST, NULL, "What a program should look at.", "\"insufficient_funds\""},
  {"detail", API_TEXT, MAY, NULL, "More about this occurrence.", NULL},
  {"field", API_TEXT, MAY, NULL, "What it is about.", NULL},
  {"suggestion", API_TEXT, MAY, NULL, "What would work.", NULL},
  {"retry_after", API_INTEGER, MAY, "\"minimum\":0", "Seconds.", NULL},
  {"correlation_id", API_TEXT, MUST, NULL, "X-Request-Id of this request.", NULL},
};

static const struct api_field proof[] = {
  {"proof", API_WORD, MUST, "inclusion", "What it proves.", NULL},
  {"user_id", API_ID, MUST, NULL, "Whose it is.", NULL},
  {"version", API_INTEGER, MUST, "\"minimum\":1", "Of the user, when it was sealed.", NULL},
  {"leaf", API_TEXT, MUST, "\"pattern\":\"^[0-9a-f]+$\"",
   "Head and balances at that version, canonical bytes in hex.", NULL},
  {"index", API_INTEGER, MUST, "\"minimum\":0", "The leaf's place in the tree.", NULL},
  {"size", API_INTEGER, MUST, "\"minimum\":1", "Leaves of the tree.", NULL},
  {"hashes", API_WORDS, MUST, NULL, "From the leaf up to the root (RFC 6962).", NULL},
  {"seal", API_TEXT, MUST, NULL, "The signed statement that names the root.", NULL},
};

const struct api_schema api_schemas[] = {
  {"OpRequest",
   "An operation. Every type takes `user_id`, `effective_at`, `if_version`, `reason` and "
   "`metadata`. Beside these: `earn` `grant` `deposit` `quarantine`: asset, amount, source? · "
   "`settle` `mature` `release`: asset, amount · `spend`: asset, amount, to? · `hold`: asset, "
   "amount, timeout_s? · `capture`: hold_id, amount?, final?, to? · `void`: hold_id, "
   "amount? · "
   "`block`: asset, amount, bucket? · `unblock`: block_id, amount? · `transfer`: asset, "
   "amount, to_user_id · `adjust`: asset, amount of either sign, and reason is required · "
   "`reverse`: "
   "reverses, amount?.",
   true, FIELDS(op_request)},
  {"BatchRequest", "Operations to be judged in order.", true, FIELDS(batch_request)},
  {"UserRequest", "A new user.", true, FIELDS(user_request)},
  {"StatusRequest", "Whether a user is open.", true, FIELDS(status_request)},
  {"AssetRequest", "A new asset.", true, FIELDS(asset_request)},
  {"KeyRequest", "A new service key.", true, FIELDS(key_request)},
  {"Balance", "What a user has of one asset.", false, FIELDS(balance)},
  {"Entry", "One immutable row of the journal: an amount that moved between two accounts.", false,
   FIELDS(entry)},
  {"OpResult", "What an applied operation did.", false, FIELDS(op_result)},
  {"Op", "An operation and what became of it.", false, FIELDS(op)},
  {"Transfer", "Money on its way from one user to another.", false, FIELDS(transfer)},
  {"Reversal", "A reverse of an operation.", false, FIELDS(reversal)},
  {"BatchItem", "The outcome of one op of a batch.", false, FIELDS(batch_item)},
  {"BatchResult", "The outcomes of a batch.", false, FIELDS(batch_result)},
  {"Balances", "A user's balances.", false, FIELDS(balances)},
  {"EntryPage", "A page of entries.", false, FIELDS(entry_page)},
  {"Proof", "That a signed seal has a user's balances; `holdfast ledger check` judges it.", false,
   FIELDS(proof)},
  {"Hold", "An amount set aside.", false, FIELDS(hold)},
  {"HoldPage", "A page of holds.", false, FIELDS(hold_page)},
  {"Block", "An amount that is frozen.", false, FIELDS(block)},
  {"Asset", "A thing counted in integer base units.", false, FIELDS(asset)},
  {"AssetPage", "A page of assets.", false, FIELDS(asset_page)},
  {"User", "A user.", false, FIELDS(user)},
  {"UserStatus", "Whether a user is open.", false, FIELDS(user_status)},
  {"Key", "A service key, without its secret.", false, FIELDS(key)},
  {"NewKey", "A service key that was just made.", false, FIELDS(new_key)},
  {"KeyPage", "A page of service keys.", false, FIELDS(key_page)},
  {"Config", "What a client may want to know of this server.", false, FIELDS(config)},
  {"Flags", "Feature flags.", false, FIELDS(flags)},
  {"Health", "All is well.", false, FIELDS(health)},
  {"OpenAPI", "An OpenAPI document.", false, FIELDS(openapi)},
  {"Problem", "Why not (RFC 9457).", false, FIELDS(problem)},
};
const size_t api_schemas_count = sizeof api_schemas / sizeof api_schemas[0];

const struct api_schema *api_schema_find(const char *name)
{
  for (size_t i = 0; i < api_schemas_count; i++) {
    if (strcmp(api_schemas[i].name, name) == 0)
      return &api_schemas[i];
  }
  return NULL;
}
