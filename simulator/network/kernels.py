"""Flows that share links: max-min fair rates, and the time until all have ended; numbers and arrays only.

Groups of arrays that functions hand on together:

======= =========== ======================= ====================================================================
group   array       shape, type             meaning
======= =========== ======================= ====================================================================
uses    first       (flows + 1,) int64      flow f has the entries ``first[f]:first[f + 1]`` of link and share
uses    link        (entries,) int32        directed link that a flow uses; no link twice in one flow
uses    share       (entries,) float64      part of the flow's bytes that the link carries, above 0 [1]
uses    at_first    (links + 1,) int64      link k is used by flows ``at_flow[at_first[k]:at_first[k + 1]]``
uses    at_flow     (entries,) int32        see at_first
state   rate        (flows,) float64        [B/s]; 0 before and after its life, infinite until it is first filled
state   narrow      (flows,) int64          the full link on which no flow is faster than this one
state   room        (links, 4) float64      columns CAPACITY and LOAD [B/s]; WEIGHT and USERS: sum of shares and
                                            number of the flows without a rate, both 0 between calls
work    keys, heap  (links,)                a binary min-heap of links by level
work    behind      (links,) int64          link after this one in its bucket
work    head        (BUCKETS,) int64        first link of each bucket; all NONE between calls
work    bits        (1,) int64              a float looked at as an integer
======= =========== ======================= ====================================================================
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numba.extending import register_jitable

from simulator.kernels import borrowing

CAPACITY, LOAD, WEIGHT, USERS = range(4)
SAME = 1e-12
"""Levels and times that differ by less than this part are one, so that rounding does not order what is equal."""
BELOW = 1.0 - 1e-9
"""A rate of at least this part of another counts as being as large."""
SLACK = 1e-9
"""A link with less than this part of its capacity free is full."""
UNSETTLED = -1.0
"""Rate of a flow while it waits for its level."""
NONE = -1
BUCKETS = 2048
"""Buckets of 1/128 of a doubling: sixteen doublings of level, the last takes whatever lies above."""
BUCKET_SHIFT = 45
"""Bits of a float64 behind those that number its bucket: 52 of the mantissa less 7."""
FEW = 64
"""Most flows from which changes of rates are followed outwards; from more, all rates that may change are filled."""
MANY = 4
"""Following stops once more than one in so many of the living flows has been chosen."""


@register_jitable
def transposed(first, link, links):
    """The flows on every link: (at_first, at_flow)."""
    at_first = np.zeros(links + 1, dtype=np.int64)
    for entry in range(link.shape[0]):
        at_first[link[entry] + 1] += 1
    for k in range(links):
        at_first[k + 1] += at_first[k]
    place = at_first[:-1].copy()
    at_flow = np.empty(link.shape[0], dtype=np.int32)
    for flow in range(first.shape[0] - 1):
        for entry in range(first[flow], first[flow + 1]):
            at_flow[place[link[entry]]] = flow
            place[link[entry]] += 1
    return at_first, at_flow


@register_jitable
def workplace(links):
    """Room to work in for so many links: (keys, heap, behind, head, bits)."""
    keys = np.empty(links)
    heap = np.empty(links, dtype=np.int64)
    behind = np.empty(links, dtype=np.int64)
    return keys, heap, behind, np.full(BUCKETS, NONE), np.zeros(1, dtype=np.int64)


@borrowing
def sift_down(keys, items, size, at):
    """Let the entry at ``at`` of a binary min-heap sink to its place."""
    key = keys[at]
    item = items[at]
    while True:
        child = 2 * at + 1
        if child >= size:
            break
        if child + 1 < size and keys[child + 1] < keys[child]:
            child += 1
        if keys[child] >= key:
            break
        keys[at] = keys[child]
        items[at] = items[child]
        at = child
    keys[at] = key
    items[at] = item


@borrowing
def push(keys, items, size, key, item):
    """Add an entry to a binary min-heap; returns its new size."""
    at = size
    while at > 0:
        above = (at - 1) // 2
        if keys[above] <= key:
            break
        keys[at] = keys[above]
        items[at] = items[above]
        at = above
    keys[at] = key
    items[at] = item
    return size + 1


@borrowing
def pop(keys, items, size):
    """Take the least entry off a binary min-heap; returns its new size."""
    size -= 1
    keys[0] = keys[size]
    items[0] = items[size]
    if size > 0:
        sift_down(keys, items, size, 0)
    return size


@borrowing
def level_of(room, k):
    """What link ``k`` has left for each flow on it that waits for its level [B/s]."""
    return max(room[k, CAPACITY] - room[k, LOAD], 0.0) / room[k, WEIGHT]


@borrowing
def bucket_of(level, base, bits):
    """The bucket of a level; ``base`` is the number of the first."""
    return min(max(leading_bits(level, bits) - base, 0), BUCKETS - 1)


@borrowing
def leading_bits(level, bits):
    """The bits of a level above 0 that number its bucket."""
    bits.view(np.float64)[0] = level
    return bits[0] >> BUCKET_SHIFT


@borrowing
def unsettle(chosen, count, uses, state, work):
    """Take the rates of ``count`` chosen flows back, and put their links into buckets; returns the first's number."""
    first, link, share, _, _ = uses
    rate, _, room = state
    _, heap, behind, head, bits = work
    touched = 0
    for index in range(count):
        flow = chosen[index]
        old = rate[flow] if rate[flow] < math.inf else 0.0
        for entry in range(first[flow], first[flow + 1]):
            k = link[entry]
            if room[k, USERS] == 0:
                heap[touched] = k
                touched += 1
                room[k, WEIGHT] = 0.0
            room[k, USERS] += 1
            room[k, WEIGHT] += share[entry]
            room[k, LOAD] -= share[entry] * old
        rate[flow] = UNSETTLED
    least = math.inf
    for index in range(touched):
        level = level_of(room, heap[index])
        if 0 < level < least:
            least = level
    base = leading_bits(least, bits)
    for index in range(touched):
        k = heap[index]
        bucket = bucket_of(level_of(room, k), base, bits)
        behind[k] = head[bucket]
        head[bucket] = k
    return base


@borrowing
def settle_at(k, level, uses, state):
    """Give every flow on link ``k`` that waits for its level this one."""
    first, link, share, at_first, at_flow = uses
    rate, narrow, room = state
    for at in range(at_first[k], at_first[k + 1]):
        flow = at_flow[at]
        if rate[flow] != UNSETTLED:
            continue
        rate[flow] = level
        narrow[flow] = k
        for entry in range(first[flow], first[flow + 1]):
            other = link[entry]
            room[other, USERS] -= 1
            room[other, WEIGHT] -= share[entry]
            room[other, LOAD] += share[entry] * level


@borrowing
def refill(chosen, count, uses, state, work):
    """Give ``count`` chosen flows, which all use links, their max-min fair rates anew; all others keep theirs.

    Progressive filling: the rates of the chosen grow alike until a link is full; the flows on it keep what they have.
    Levels of links only grow while flows are settled, so a link is taken up again, with its true level, when its last
    known one comes up: buckets find the next links without ordering those that never fill.
    """
    room = state[2]
    keys, heap, behind, head, bits = work
    base = unsettle(chosen, count, uses, state, work)
    for bucket in range(BUCKETS):
        size = 0
        k = head[bucket]
        head[bucket] = NONE
        while k != NONE:
            after = behind[k]
            if room[k, USERS] > 0:
                level = level_of(room, k)
                later = bucket_of(level, base, bits)
                if later > bucket:
                    behind[k] = head[later]
                    head[later] = k
                else:
                    size = push(keys, heap, size, level, k)
            k = after
        while size > 0:
            k = heap[0]
            if room[k, USERS] == 0:
                size = pop(keys, heap, size)
                continue
            level = level_of(room, k)
            if level <= keys[0] * (1 + SAME):
                settle_at(k, level, uses, state)
                size = pop(keys, heap, size)
                continue
            later = bucket_of(level, base, bits)
            if later > bucket:
                behind[k] = head[later]
                head[later] = k
                size = pop(keys, heap, size)
            else:
                keys[0] = level
                sift_down(keys, heap, size, 0)


@borrowing
def choose_disturbed(chosen, count, looked, is_chosen, seen, uses, state, heap):
    """Choose the flows that the new rates of the first ``looked`` chosen ones leave without a link that narrows them.

    Such a link is full and carries no faster flow. Also those are chosen that are faster, on a link that narrows a
    chosen flow. Returns how many are chosen then.
    """
    first, link, _, at_first, at_flow = uses
    rate, narrow, room = state
    touched = 0
    for index in range(looked):
        flow = chosen[index]
        for entry in range(first[flow], first[flow + 1]):
            k = link[entry]
            if seen[k]:
                continue
            seen[k] = True
            heap[touched] = k
            touched += 1
            fastest = 0.0
            limit = math.inf
            for at in range(at_first[k], at_first[k + 1]):
                other = at_flow[at]
                fastest = max(fastest, rate[other])
                if is_chosen[other] and narrow[other] == k:
                    limit = min(limit, rate[other])
            is_open = room[k, CAPACITY] - room[k, LOAD] > SLACK * room[k, CAPACITY]
            for at in range(at_first[k], at_first[k + 1]):
                other = at_flow[at]
                if is_chosen[other] or rate[other] <= 0:
                    continue
                is_loose = narrow[other] == k and (is_open or rate[other] < fastest * BELOW)
                if is_loose or rate[other] * BELOW > limit:
                    chosen[count] = other
                    is_chosen[other] = True
                    count += 1
    for index in range(touched):
        seen[heap[index]] = False
    return count


@borrowing
def resettle(chosen, count, most, is_chosen, seen, uses, state, work):
    """Refill the chosen flows and whichever others that disturbs; whether at most ``most`` had to be chosen.

    A rate is max-min fair where its flow has a full link on which none is faster (Bertsekas and Gallager, *Data
    Networks*, 2nd edition, section 6.5.2), so flows that keep such a link keep their rates.
    """
    start = 0
    while start < count <= most:
        refill(chosen, count, uses, state, work)
        start = count
        count = choose_disturbed(chosen, count, count, is_chosen, seen, uses, state, work[1])
    for index in range(count):
        is_chosen[chosen[index]] = False
    if count > most:
        take_back(chosen, count, uses, state)
    return count <= most


@borrowing
def take_back(chosen, count, uses, state):
    """Leave ``count`` chosen flows without a rate, as if they had only just begun, and their links without their load.

    After an attempt that is given up they may hold rates that are not those of the end: none at all on a full link.
    """
    first, link, share, _, _ = uses
    rate, _, room = state
    for index in range(count):
        flow = chosen[index]
        if rate[flow] < math.inf:
            for entry in range(first[flow], first[flow + 1]):
                room[link[entry], LOAD] -= share[entry] * rate[flow]
            rate[flow] = math.inf


@borrowing
def choose_freed(chosen, count, gone, ended, is_chosen, uses, state):
    """Add the flows that a link of an ended flow narrowed to the chosen; stops at more than ``FEW``."""
    first, link, _, at_first, at_flow = uses
    rate, narrow, _ = state
    for index in range(ended):
        flow = gone[index]
        for entry in range(first[flow], first[flow + 1]):
            k = link[entry]
            for at in range(at_first[k], at_first[k + 1]):
                other = at_flow[at]
                if narrow[other] == k and rate[other] > 0 and not is_chosen[other]:
                    chosen[count] = other
                    is_chosen[other] = True
                    count += 1
        if count > FEW:
            break
    return count


@borrowing
def change_rates(alive, living, gone, ended, floor, chosen, is_chosen, seen, uses, state, work):
    """Fill rates after some flows have ended and some have begun; whether there was anything to fill.

    Few changes are followed outwards from the links where they happened. After many, all flows at or above ``floor``
    are filled: links that fill at lower levels carry none of those that came or went, so nothing changes below.
    """
    rate = state[0]
    count = 0
    for index in range(living):
        if rate[alive[index]] == math.inf:
            chosen[count] = alive[index]
            is_chosen[alive[index]] = True
            count += 1
    count = choose_freed(chosen, count, gone, ended, is_chosen, uses, state)
    if count == 0:
        return False
    if count <= FEW:
        if resettle(chosen, count, max(living // MANY, FEW), is_chosen, seen, uses, state, work):
            return True
    else:
        for index in range(count):
            is_chosen[chosen[index]] = False
    count = 0
    for index in range(living):
        if rate[alive[index]] >= floor * BELOW:
            chosen[count] = alive[index]
            count += 1
    refill(chosen, count, uses, state, work)
    return True


@register_jitable
def fill_rates(first, link, share, capacity):
    """Max-min fair rate of every flow: (flows,) [B/s]; infinite for a flow that uses no link.

    No rate can grow without a lesser or equal one shrinking (Bertsekas and Gallager, *Data Networks*, 2nd edition,
    section 6.5.2, progressive filling).
    """
    flows = first.shape[0] - 1
    links = capacity.shape[0]
    at_first, at_flow = transposed(first, link, links)
    rate = np.full(flows, math.inf)
    room = np.zeros((links, 4))
    room[:, CAPACITY] = capacity
    chosen = np.flatnonzero(first[1:] > first[:-1])
    uses = (first, link, share, at_first, at_flow)
    refill(chosen, chosen.shape[0], uses, (rate, np.full(flows, NONE), room), workplace(links))
    return rate


@borrowing
def soonest_end(now, alive, living, left, rate):
    """When the next living flow ends at the present rates [s]."""
    soon = math.inf
    for index in range(living):
        flow = alive[index]
        if rate[flow] > 0:
            soon = min(soon, now + left[flow] / rate[flow])
    return soon


@borrowing
def release(flow, finish, next_first, next_flow, blockers, earliest, delay, due, queue, queued):
    """Tell the flows that waited for one that has ended; returns how many are queued then."""
    for at in range(next_first[flow], next_first[flow + 1]):
        after = next_flow[at]
        blockers[after] -= 1
        earliest[after] = max(earliest[after], finish[flow])
        if blockers[after] == 0:
            queued = push(due, queue, queued, earliest[after] + delay[after], after)
    return queued


@register_jitable
def drain(first, link, share, capacity, volume, ready, delay, waits, next_first, next_flow, tolerance):
    """Let flows run until all have ended: (begin, finish, fillings).

    A flow is ready at ``ready[f]`` [s], or when the last of the ``waits[f]`` flows before it has ended if that is
    later (flow f is waited for by ``next_flow[next_first[f]:next_first[f + 1]]``). Its bytes begin to move ``delay[f]``
    [s] after that and share links max-min fairly until ``volume[f]`` bytes have moved. With a ``tolerance`` above 0
    whatever happens within that part of the time since 0 is taken together: a flow that ends keeps its links until the
    last of those events, but its own finish is kept exactly.

    Returns
    -------
    begin, finish : (flows,) when the bytes of a flow begin to move, and when they have moved [s]; infinite where that
        never happens: behind a link without capacity, or in a circle of flows that wait for each other
    fillings : how often rates were filled [1]
    """
    flows = first.shape[0] - 1
    links = capacity.shape[0]
    at_first, at_flow = transposed(first, link, links)
    uses = (first, link, share, at_first, at_flow)
    rate = np.zeros(flows)
    room = np.zeros((links, 4))
    room[:, CAPACITY] = capacity
    state = (rate, np.full(flows, NONE), room)
    work = workplace(links)
    is_chosen = np.zeros(flows, dtype=np.bool_)
    seen = np.zeros(links, dtype=np.bool_)
    chosen = np.empty(flows, dtype=np.int64)
    gone = np.empty(flows, dtype=np.int64)
    alive = np.empty(flows, dtype=np.int64)
    left = volume.copy()
    begin = np.full(flows, math.inf)
    finish = np.full(flows, math.inf)
    earliest = ready.copy()
    blockers = waits.copy()
    weights = np.zeros(links)
    due = np.empty(flows)
    queue = np.empty(flows, dtype=np.int64)
    queued = 0
    for flow in range(flows):
        if blockers[flow] == 0:
            queued = push(due, queue, queued, earliest[flow] + delay[flow], flow)
    living = 0
    fillings = 0
    now = 0.0
    while queued > 0 or living > 0:
        soon = soonest_end(now, alive, living, left, rate)
        if queued > 0:
            soon = min(soon, max(due[0], now))
        if soon == math.inf:
            break
        until = soon + soon * max(tolerance, SAME)
        last = soon
        for index in range(living):
            flow = alive[index]
            if rate[flow] > 0 and now + left[flow] / rate[flow] <= until:
                finish[flow] = now + left[flow] / rate[flow]
                last = max(last, finish[flow])
        known = living
        while queued > 0 and due[0] <= until:
            flow = queue[0]
            begin[flow] = due[0]
            last = max(last, due[0])
            queued = pop(due, queue, queued)
            rate[flow] = math.inf
            alive[living] = flow
            living += 1
        floor = math.inf
        ended = 0
        kept = 0
        for index in range(living):
            flow = alive[index]
            if index >= known:
                if volume[flow] == 0 or first[flow] == first[flow + 1]:
                    finish[flow] = begin[flow]
                    rate[flow] = 0.0
                    queued = release(flow, finish, next_first, next_flow, blockers, earliest, delay, due, queue, queued)
                    continue
                for entry in range(first[flow], first[flow + 1]):
                    weights[link[entry]] += share[entry]
            elif finish[flow] < math.inf:
                floor = min(floor, rate[flow])
                for entry in range(first[flow], first[flow + 1]):
                    room[link[entry], LOAD] -= share[entry] * rate[flow]
                    weights[link[entry]] -= share[entry]
                rate[flow] = 0.0
                gone[ended] = flow
                ended += 1
                queued = release(flow, finish, next_first, next_flow, blockers, earliest, delay, due, queue, queued)
                continue
            else:
                left[flow] = max(left[flow] - rate[flow] * (last - now), 0.0)
            alive[kept] = flow
            kept += 1
        living = kept
        now = last
        for index in range(living):
            flow = alive[index]
            if rate[flow] == math.inf:  # a link with it on fills at no lower level than this
                for entry in range(first[flow], first[flow + 1]):
                    floor = min(floor, capacity[link[entry]] / weights[link[entry]])
        if change_rates(alive, living, gone, ended, floor, chosen, is_chosen, seen, uses, state, work):
            fillings += 1
    return begin, finish, fillings


fill_rates_fast = njit(cache=True)(fill_rates)
drain_fast = njit(cache=True)(drain)
