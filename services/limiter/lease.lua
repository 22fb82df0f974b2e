-- Lease: one decision about one bucket, atomically. The same arithmetic as bucket.py and window.py, which say why;
-- tests/contract/test_lease_store.py holds the two together.
--
-- Times are microseconds, as TIME tells them, but for those whose names say ms.
--
-- KEYS (one hash tag)
--   1 state    hash: now, held, spent, window (fixed: its number), first (sliding: oldest sub-bucket), edges (how many
--              closed sequences are kept), lease:{edge}:{sequence} -> "units spent returned granted valid_ms",
--              closed:{edge} -> "sequence now"
--   2 expiries sorted set: "{sequence}:{edge}" by the moment the lease expires
--   3 slots    hash: sub-bucket -> units, for sliding windows only
-- ARGV
--   op (ask | report), technique, window_us, edge, sequence, limit, then
--   ask: waiting, ahead, edges        report: spent, returned, is_closed (1 | 0)
-- Returns
--   grant {1, units, valid_ms, remaining, reset_ms}   refusal {2, retry_after_ms, reset_ms}   closed {3}   acknowledged {4}

local LEASE_VALID_MS, SUB_BUCKETS_MAX, LEASES_PER_LIMIT, RETRY_AFTER_MS_MAX = 1000, 128, 128, 100
local CLOSED_EDGES_MAX, CLOSED_KEPT_MS = 1024, 60000

local state_key, expiries_key, slots_key = KEYS[1], KEYS[2], KEYS[3]
local op, technique, window_us = ARGV[1], ARGV[2], tonumber(ARGV[3])
local edge, sequence, limit = ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
local is_fixed = technique == 'fixed'
local slot_us = math.ceil(window_us / (SUB_BUCKETS_MAX - 1))

local function whole_ms(duration)
  return math.ceil(duration / 1000)
end

local function lease_field(of_edge, of_sequence)
  return string.format('lease:%s:%d', of_edge, of_sequence)
end

local own_lease_field, own_closed_field = lease_field(edge, sequence), 'closed:' .. edge
local stored = redis.call('HMGET', state_key,
  'now', 'held', 'spent', 'window', 'first', 'edges', own_lease_field, own_closed_field)
local time = redis.call('TIME')
local now = math.max(time[1] * 1000000 + time[2], tonumber(stored[1] or 0))
local held, spent = tonumber(stored[2] or 0), tonumber(stored[3] or 0)
local window, first = tonumber(stored[4] or 0), tonumber(stored[5] or -1)
local edges_closed = tonumber(stored[6] or 0)
local own_lease, own_closed = stored[7], tonumber(string.match(stored[8] or '0', '^%d+'))

local function leaves_us(slot)
  return (slot + 1) * slot_us + window_us
end

local function put(units, slot)
  if units == 0 then return end
  spent = spent + units
  redis.call('HINCRBY', slots_key, string.format('%d', slot), units)
  if first < 0 or slot < first then first = slot end
end

local function enter(units)
  if is_fixed then spent = spent + units else put(units, math.floor(now / slot_us)) end
end

local function advance_window()
  if is_fixed then
    local index = math.floor(now / window_us)
    if index ~= window then window, spent = index, 0 end
    return
  end
  if first < 0 or leaves_us(first) > now then return end
  local slots, next_first = redis.call('HGETALL', slots_key), -1
  for i = 1, #slots, 2 do
    local slot = tonumber(slots[i])
    if leaves_us(slot) <= now then
      spent = spent - tonumber(slots[i + 1])
      redis.call('HDEL', slots_key, slots[i])
    elseif next_first < 0 or slot < next_first then
      next_first = slot
    end
  end
  first = next_first
end

local function unpack_lease(text)
  local units, lease_spent, returned, granted, valid_ms = string.match(text, '^(%d+) (%d+) (%d+) (%d+) (%d+)$')
  return tonumber(units), tonumber(lease_spent), tonumber(returned), tonumber(granted), tonumber(valid_ms)
end

local function forget_longest_silent()
  local fields, kept = redis.call('HGETALL', state_key), {}
  for i = 1, #fields, 2 do
    if string.sub(fields[i], 1, 7) == 'closed:' then
      kept[#kept + 1] = { fields[i], tonumber(string.match(fields[i + 1], '%d+$')) }
    end
  end
  table.sort(kept, function(one, other) return one[2] < other[2] end)
  for i = 1, #kept - CLOSED_EDGES_MAX / 2 do
    redis.call('HDEL', state_key, kept[i][1])
  end
  edges_closed = math.min(#kept, CLOSED_EDGES_MAX / 2)
end

local function close(of_edge, of_sequence)
  redis.call('HDEL', state_key, lease_field(of_edge, of_sequence))
  redis.call('ZREM', expiries_key, string.format('%d:%s', of_sequence, of_edge))
  local field = 'closed:' .. of_edge
  local known = redis.call('HGET', state_key, field)
  local highest = math.max(of_sequence, known and tonumber(string.match(known, '^%d+')) or 0)
  redis.call('HSET', state_key, field, string.format('%d %d', highest, now))
  if of_edge == edge then own_closed = highest end
  if not known then
    edges_closed = edges_closed + 1
    if edges_closed > CLOSED_EDGES_MAX then forget_longest_silent() end
  end
end

local function expire_leases()
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', expiries_key, '-inf', now)) do
    local of_sequence, of_edge = string.match(member, '^(%d+):(.*)$')
    of_sequence = tonumber(of_sequence)
    local text = redis.call('HGET', state_key, lease_field(of_edge, of_sequence))
    local units, lease_spent, returned, granted, valid_ms = unpack_lease(text)
    local expired = granted + valid_ms * 1000
    local unreported = units - lease_spent - returned
    held = held - unreported
    if is_fixed then
      if math.floor(granted / window_us) == window then spent = spent + unreported end
    elseif leaves_us(math.floor(expired / slot_us)) > now then
      put(unreported, math.floor(expired / slot_us))
    end
    if of_edge == edge and of_sequence == sequence then own_lease = nil end
    close(of_edge, of_sequence)
  end
end

local function frees_in_us()
  if is_fixed then return (window + 1) * window_us - now end
  if first < 0 then return nil end
  return leaves_us(first) - now
end

local function reset_ms()
  return whole_ms(math.min(frees_in_us() or window_us, window_us))
end

local function refusal()
  if is_fixed and held == 0 then return { 2, math.max(1, whole_ms(frees_in_us())), reset_ms() } end
  local pause = math.min(RETRY_AFTER_MS_MAX * 1000, frees_in_us() or math.huge)
  local next_lease = redis.call('ZRANGE', expiries_key, 0, 0, 'WITHSCORES')
  if next_lease[2] then pause = math.min(pause, tonumber(next_lease[2]) - now) end
  return { 2, math.max(1, whole_ms(pause)), reset_ms() }
end

local function ask()
  if sequence <= own_closed then return { 3 } end
  local waiting, ahead, edges = tonumber(ARGV[7]), tonumber(ARGV[8]), math.max(1, tonumber(ARGV[9]))
  local remaining = math.max(0, limit - held - spent)
  if own_lease then
    local units, _, _, _, valid_ms = unpack_lease(own_lease)
    return { 1, units, valid_ms, remaining, reset_ms() }
  end
  if remaining == 0 then return refusal() end
  local wanted = waiting + math.min(ahead, math.floor((remaining - waiting) / (4 * edges)))
  local units = math.min(remaining, math.max(1, math.floor(limit / LEASES_PER_LIMIT)), math.max(1, wanted))
  local valid_ms = LEASE_VALID_MS
  if is_fixed then valid_ms = math.min(valid_ms, math.floor(((window + 1) * window_us - now) / 1000)) end
  redis.call('HSET', state_key, own_lease_field, string.format('%d 0 0 %d %d', units, now, valid_ms))
  redis.call('ZADD', expiries_key, now + valid_ms * 1000, string.format('%d:%s', sequence, edge))
  held = held + units
  return { 1, units, valid_ms, remaining - units, reset_ms() }
end

local function report()
  local new_spent, new_returned, is_closed = tonumber(ARGV[7]), tonumber(ARGV[8]), ARGV[9] == '1'
  if own_lease then
    local units, lease_spent, returned, granted, valid_ms = unpack_lease(own_lease)
    local before_held, before_spent = units - lease_spent - returned, lease_spent
    lease_spent = math.min(math.max(lease_spent, new_spent), units - returned)
    returned = math.min(math.max(returned, new_returned), units - lease_spent)
    if is_closed then returned = units - lease_spent end
    enter(lease_spent - before_spent)
    held = held - (before_held - (units - lease_spent - returned))
    if not is_closed then
      redis.call('HSET', state_key, own_lease_field,
        string.format('%d %d %d %d %d', units, lease_spent, returned, granted, valid_ms))
    end
  end
  if is_closed then close(edge, sequence) end
  return { 4 }
end

local function keep()
  local ends = is_fixed and (window + 1) * window_us or leaves_us(math.floor(now / slot_us))
  local kept_ms = whole_ms(math.max(ends, now) - now) + CLOSED_KEPT_MS
  redis.call('HSET', state_key, 'now', now, 'held', held, 'spent', spent, 'window', window, 'first', first,
    'edges', edges_closed)
  redis.call('PEXPIRE', state_key, kept_ms)
  redis.call('PEXPIRE', expiries_key, kept_ms)
  redis.call('PEXPIRE', slots_key, kept_ms)
end

if op == 'report' and not stored[1] and ARGV[9] ~= '1' then return { 4 } end
advance_window()
expire_leases()
local answer = op == 'ask' and ask() or report()
keep()
return answer
