-- ARGV: run, offset, lease_ms, sweep_held ('1' or '0'), limit
-- Answers {entries, next due ms or '', for each due call: call, what it was, admitted_ms, split, report}. What is due
-- and was held becomes swept; all that is returned is due again after the lease, should the caller die over it.
local now, limit = server_ms(), tonumber(ARGV[5])
local flat = redis.call('HGETALL', CALLS)
local found, due, taken = {}, nil, 0
for i = 1, #flat, 2 do
  local entry = parse(flat[i + 1])
  local was, at = entry.state, tonumber(entry.due)
  if at <= now and taken < limit and (was ~= 'held' or ARGV[4] == '1') then
    taken = taken + 1
    at = now + tonumber(ARGV[3])
    entry.due = text(at)
    entry.state = was == 'held' and 'swept' or was
    write(flat[i], entry)
    for _, value in ipairs({ flat[i], was, entry.admitted, entry.split, entry.report }) do
      found[#found + 1] = value
    end
  end
  due = due and math.min(due, at) or at
end
return { #flat / 2, due and text(due) or '', found }
