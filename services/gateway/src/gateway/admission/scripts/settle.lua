-- ARGV: run, offset, ask_after_ms, price, then the call as its gateway knows it (used when Redis does not):
-- call, admitted_ms, markup, plan_version, plan_id, split, report
local call, price = ARGV[5], tonumber(ARGV[4])
if is_confirmed(call) then
  return 'confirmed'
end
local known = redis.call('HGET', CALLS, call)
local entry = known and parse(known) or {
  admitted = ARGV[6], markup = ARGV[7], plan_version = ARGV[8], plan_id = ARGV[9], split = ARGV[10], report = ARGV[11],
}

-- The price stays inside what was allocated, in order; what exceeds it stands on the last slice.
local slices, amounts, left = {}, {}, price
for slice, amount in parts(entry.split) do
  local part = math.min(tonumber(amount), left)
  slices[#slices + 1], amounts[#amounts + 1] = slice, part
  left = left - part
end
if #slices == 0 then
  slices[1], amounts[1] = NO_SLICE, 0
end
amounts[#amounts] = amounts[#amounts] + left
local split = {}
for i, slice in ipairs(slices) do
  if amounts[i] > 0 then
    split[#split + 1] = slice .. '=' .. text(amounts[i])
  end
end

local before = known and entry.split or ''
entry.split = table.concat(split, ',')
take(entry.split)
give_back(before)
entry.state, entry.due = 'ended', text(server_ms() + tonumber(ARGV[3]))
write(call, entry)
return 'ok'
