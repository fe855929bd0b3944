-- Heartbeat and re-entry: extends what is held, enters what is unknown, changes nothing else.
-- ARGV: run, offset, patience_ms, then for each call: `call|` and the call as its gateway knows it, report
local due = text(server_ms() + ARGV[3])
local answers = {}
for i = 4, #ARGV, 2 do
  local call, from = match(ARGV[i], '^(%x+)|()')
  local state
  if is_confirmed(call) then
    state = 'confirmed'
  else
    local packed = command('HGET', CALLS, call)
    state = packed and match(packed, '^%a+') or 'held'
    if not packed then
      enter(call, sub(ARGV[i], from), due, ARGV[i + 1])
    elseif state == 'held' then
      -- Only when it is due changes: what it stands for stays.
      command('HSET', CALLS, call, 'held|' .. due .. sub(packed, match(packed, '^held|%d+()')))
    end
  end
  answers[#answers + 1] = state
end
return answers
