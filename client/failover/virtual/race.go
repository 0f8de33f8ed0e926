package virtual

import "example.com/crashlab/client/failover/internal/core"

// attempt makes an attempt that others may join.
func (k *call) attempt(d core.Decision) {
	c, a := k.client, &k.first
	k.begun++
	a.prepare(d, k.begun)
	if delay, hedge := k.JoinDelay(d); delay > 0 {
		a.lease.HedgeDelay = delay
		k.race, k.racing = core.NewRace(&k.Waiter.Call, &a.lease, k.begun, hedge), true
		c.timeline.Set(&k.join, after(c.now(), delay))
	}
	a.begin()
}

// joins makes another attempt, if it is not too late and the budget allows it.
func (k *call) joins() {
	c := k.client
	d, ok := c.shared.Join(&k.Terms, &k.race, c.roster, c.line.Len() > 0, c.now())
	if !ok {
		return
	}
	if !c.shared.PayJoin(&k.race, d, c.members[d.Index].Key, c.now()) {
		c.shared.Abandon(c.members[d.Index].Replica, c.now())
		c.offer()
		return
	}
	a := &attempt{hedge: true}
	a.init(k)
	a.prepare(d, k.race.Number())
	k.others = append(k.others, a)
	if d.Join > 0 {
		c.timeline.Set(&k.join, after(c.now(), d.Join))
	}
	a.begin()
}

// attemptEnded is called when an attempt has ended.
func (k *call) attemptEnded(a *attempt) {
	switch r := &a.racer; {
	case !k.racing:
		k.wake(conclude)
		return
	case !a.hedge:
		if k.race.First(r.Outcome, r.Missed) {
			k.cancelOthers(nil)
		}
	case r.Missed:
		k.race.Missed(a.number)
	case k.race.Joined(r.Outcome):
		r.Winner = true
		k.first.cancel()
		k.cancelOthers(a)
	}
	if k.racing && k.allEnded() {
		k.race.Close()
		k.racing = false
		k.begun = k.race.Number()
		k.client.timeline.Stop(&k.join)
		k.wake(conclude)
	}
}

// cancelOthers cancels the attempts that have joined, except one.
func (k *call) cancelOthers(but *attempt) {
	for _, a := range k.others {
		if a != but {
			a.cancel()
		}
	}
}

// cancelAll cancels all attempts of the call.
func (k *call) cancelAll() {
	all := []*attempt{&k.first}
	all = append(all, k.others...)
	k.client.timeline.mix(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	for _, a := range all {
		a.cancel()
	}
}

// allEnded reports whether no attempt is under way.
func (k *call) allEnded() bool {
	for _, a := range k.others {
		if a.state != attemptNone {
			return false
		}
	}
	return k.first.state == attemptNone
}

func conclude(k *call, _ *attempt) { k.conclude() }

// conclude records how the attempts ended, once all have.
func (k *call) conclude() {
	c, first := k.client, &k.first
	if first.racer.Missed && k.begun == first.number {
		k.begun--
	}
	var racers []core.Racer
	for _, a := range k.others {
		racers = append(racers, a.racer)
	}
	k.others = k.others[:0]
	f := k.Waiter.Call.Finish(first.racer, racers, k.over())
	if f.Overtaken {
		c.shared.Overtaken(&first.lease, c.now(), c.observer)
	}
	if f.Success >= 0 {
		k.end(true, 0)
		return
	}
	if f.Last >= 0 {
		k.canceled = f.Canceled
	}
	k.next()
}
