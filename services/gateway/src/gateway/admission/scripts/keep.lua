-- Heartbeat and re-entry: extends what is held, enters what is unknown, changes nothing else.
-- ARGV: run, offset, patience_ms, then for each call: `call|` and the call as its gateway knows it, report
local due = text(server_ms() + tonumber(ARGV[3]))
local answers = {}
for i = 4, #ARGV, 2 do
  local call, at = string.match(ARGV[i], '^(%x+)|()')
  local state
  if is_confirmed(call) then
    state = 'confirmed'
  else
    local entry = entry_of(call)
    state = entry and entry.state or 'held'
    if not entry then
      change(call, nil, become(read_call(ARGV[i], at), { state = 'held', due = due, report = ARGV[i + 1] }))
    elseif state == 'held' then
      change(call, entry, become(entry, { due = due }))
    end
  end
  answers[#answers + 1] = state
end
return answers
