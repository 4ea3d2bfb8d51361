-- One posting: the idempotency key once, the balance, the history. Not a ledger (no double entry, no
-- outcomes kept for refusals), but what many services do. ARGV: key, a random number, amount.
if not redis.call('SET', 'key:' .. ARGV[1], '1', 'NX') then return 0 end
local user = tonumber(ARGV[2]) % 10000
local balance = redis.call('HINCRBY', 'balances', user, -tonumber(ARGV[3]))
redis.call('XADD', 'postings', '*', 'user', user, 'amount', -tonumber(ARGV[3]), 'after', balance)
return 1
