-- ARGV: run, offset, lease_ms, sweep_held ('1' or '0'), limit
-- Answers {entries, next due ms or '', for each due call: call, what it was, admitted_ms, split, report}. What is due
-- and was held becomes swept; all that is returned is due again after the lease, should the caller die over it.
-- A customer's hold (it has an end of its own) is kept alive by nobody, so nobody is waited for.
local now, limit = server_ms(), tonumber(ARGV[5])
local flat = command('HGETALL', CALLS)
local found, due, taken = {}, nil, 0
for i = 1, #flat, 2 do
  local at = tonumber(match(flat[i + 1], '^%a+|(%d+)'))
  local entry = at <= now and taken < limit and read_entry(flat[i + 1])
  if entry and (entry.state ~= 'held' or ARGV[4] == '1' or entry.expires ~= '') then
    taken = taken + 1
    at = now + ARGV[3]
    change(flat[i], entry, become(entry, entry.state == 'held' and 'swept' or entry.state, text(at)))
    for _, value in ipairs({ flat[i], entry.state, match(entry.stamp, '^%d+'), entry.split, entry.report }) do
      found[#found + 1] = value
    end
  end
  due = due and math.min(due, at) or at
end
return { #flat / 2, due and text(due) or '', found }
