-- Heartbeat and re-entry: extends what is held, enters what is unknown, changes nothing else.
-- ARGV: run, offset, patience_ms, then for each call: call, admitted_ms, markup, plan_version, plan_id, split, report
local due = text(server_ms() + tonumber(ARGV[3]))
local answers = {}
for i = 4, #ARGV, 7 do
  local call = ARGV[i]
  local known = redis.call('HGET', CALLS, call)
  if is_confirmed(call) then
    answers[#answers + 1] = 'confirmed'
  elseif known then
    local entry = parse(known)
    if entry.state == 'held' then
      entry.due = due
      write(call, entry)
    end
    answers[#answers + 1] = entry.state
  else
    take(ARGV[i + 5])
    write(call, {
      state = 'held', admitted = ARGV[i + 1], due = due, markup = ARGV[i + 2], plan_version = ARGV[i + 3],
      plan_id = ARGV[i + 4], split = ARGV[i + 5], report = ARGV[i + 6],
    })
    answers[#answers + 1] = 'held'
  end
end
return answers
