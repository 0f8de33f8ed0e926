package replicas_test

import (
	"testing"
	"testing/synctest"
	"time"

	"example.com/crashlab/client/failover/internal/replicas"
)

// checkGaps fails the test if two dials are closer than least or further apart than most.
func checkGaps(t *testing.T, dials []time.Time, least, most time.Duration) {
	t.Helper()
	for i := 1; i < len(dials); i++ {
		if gap := dials[i].Sub(dials[i-1]); gap < least || gap > most {
			t.Errorf("gap %d is %v, want %v to %v", i, gap, least, most)
		}
	}
}

// A waiting call is demand, although it does nothing: the replica is dialed at the rate of Redial
// while the call waits and for Linger afterwards, and rarely before and after that.
func TestWaitingCallsAreDemand(t *testing.T) {
	for _, redial := range []replicas.Redial{
		usual,
		{Every: 100 * time.Millisecond, Linger: time.Second},
		{Every: 100 * time.Millisecond, Linger: 5 * time.Second},
		{Every: 500 * time.Millisecond, Linger: 10 * time.Millisecond},
	} {
		t.Run(redial.Every.String()+" "+redial.Linger.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				n := newNetwork(t, 1)
				set := replicas.NewSet(redial)
				n.connect(t, set)
				least, most := redial.Every*4/5, redial.Every*6/5
				time.Sleep(10 * time.Minute)
				quiet := time.Now()
				time.Sleep(10 * time.Minute)
				if got := len(n[0].dialsSince(quiet)); got > 600 {
					t.Errorf("%d dials in ten minutes without demand, want at most one a second", got)
				}

				begin := time.Now()
				const wait = 10 * time.Second
				set.AddWaiting(2)
				time.Sleep(wait / 2)
				set.AddWaiting(-1) // one call is still waiting
				time.Sleep(wait / 2)
				dials := n[0].dialsSince(begin)
				if got := len(dials); got < int(wait/most)-1 || got > int(wait/least)+1 {
					t.Errorf("%d dials in %v of demand, want one every %v", got, wait, redial.Every)
				}
				if len(dials) > 0 && dials[0].Sub(begin) > most {
					t.Errorf("first dial %v after the call came, want at most %v", dials[0].Sub(begin), most)
				}
				set.AddWaiting(-1)
				time.Sleep(redial.Linger)
				dials = n[0].dialsSince(begin)
				checkGaps(t, dials, least, most)
				if len(dials) == 0 || time.Since(dials[len(dials)-1]) > most {
					t.Errorf("%d dials, the last before the demand ended", len(dials))
				}
				time.Sleep(most) // for a dial that was scheduled before the demand ended
				after := time.Now()
				time.Sleep(10 * time.Minute)
				if got := len(n[0].dialsSince(after)); got > 600 {
					t.Errorf("%d dials in ten minutes after, want at most one a second", got)
				}
			})
		})
	}
}

// However demand arises, at whatever time after gRPC's last dial, two dials are never closer than
// Redial allows.
func TestDemandKeepsItsDistanceToOtherDials(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := newNetwork(t, 1)
		set := replicas.NewSet(replicas.Redial{Every: 100 * time.Millisecond, Linger: 50 * time.Millisecond})
		conn, _ := n.connect(t, set)
		begin := time.Now()
		for i := range 500 { // twenty minutes, before gRPC calls the connection idle
			time.Sleep(time.Duration(i%97) * 53 * time.Millisecond)
			switch i % 4 {
			case 0:
				set.Want()
			case 1:
				set.AddWaiting(1)
				set.AddWaiting(-1)
			case 2:
				conn.Connect()
			case 3:
				set.View().Replicas[0].Wake()
			}
		}
		dials := n[0].dialsSince(begin)
		checkGaps(t, dials, 80*time.Millisecond, time.Minute)
		if len(dials) < 400 {
			t.Errorf("%d dials, want more", len(dials))
		}
	})
}

// Calls in quick succession are continuous demand, however short Linger is.
func TestCallsAreDemand(t *testing.T) {
	for _, redial := range []replicas.Redial{usual, {Every: 500 * time.Millisecond, Linger: 10 * time.Millisecond}} {
		t.Run(redial.Every.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				n := newNetwork(t, 1)
				set := replicas.NewSet(redial)
				n.connect(t, set)
				time.Sleep(10 * time.Minute)
				begin := time.Now()
				for time.Since(begin) < 10*time.Second {
					set.Want()
					time.Sleep(time.Millisecond)
				}
				dials := n[0].dialsSince(begin)
				checkGaps(t, dials, redial.Every*4/5, redial.Every*6/5)
				if want := int(10 * time.Second / (redial.Every * 6 / 5)); len(dials) < want {
					t.Errorf("%d dials, want %d at least", len(dials), want)
				}
			})
		})
	}
}

// If Redial is slower than the dials without demand, a replica that breaks connections is dialed once
// a second, and one that is down at Redial's pace, with and without demand.
func TestSlowPace(t *testing.T) {
	for _, tc := range []struct {
		name        string
		down        bool
		least, most time.Duration
	}{
		{"breaks connections", false, 800 * time.Millisecond, 1300 * time.Millisecond},
		{"down", true, 4 * time.Second, 8 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				n := newNetwork(t, 1)
				n[0].listen()
				set := replicas.NewSet(replicas.Redial{Every: 5 * time.Second, Linger: time.Second})
				n.connect(t, set)
				synctest.Wait()
				if tc.down {
					n[0].crash()
					time.Sleep(2 * time.Second) // for the dial that follows the loss
				}
				begin := time.Now()
				for i := range 2000 {
					time.Sleep(100 * time.Millisecond)
					if !tc.down {
						n[0].listen() // again
					}
					if i%20 == 0 {
						set.Want()
					}
				}
				dials := n[0].dialsSince(begin)
				checkGaps(t, dials, tc.least, tc.most)
				if want := int(200 * time.Second / tc.most); len(dials) < want {
					t.Errorf("%d dials in 200 s, want %d at least", len(dials), want)
				}
			})
		})
	}
}
