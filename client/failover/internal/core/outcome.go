package core

// Outcome is how an attempt ended.
type Outcome uint8

// The outcomes of failover.Outcome.
const (
	OutcomeOK Outcome = iota
	OutcomeRefused
	OutcomeLost
	OutcomeFailed
	OutcomeTimedOut
	OutcomeRejected
	OutcomeCanceled
)

// Wire is what is known of an attempt's request.
type Wire struct {
	Picked      bool // it got as far as a connection
	Sent        bool // and any byte of it may have reached the wire
	Answered    bool // and any byte of a reply has come back
	Unprocessed bool // it came back, and the replica said that it has not processed it: as if never sent
}

// End is what an attempt's end says of its replica. Deadline says that the caller's has passed,
// OneMethod that what failed concerns the one method.
func (o Outcome) End(w Wire, deadline, oneMethod bool) End {
	e := End{Answered: w.Answered && o != OutcomeCanceled, Sent: w.Sent}
	switch {
	case o == OutcomeOK && w.Answered:
		e.Says = SaysOK
	case o == OutcomeRejected && w.Answered:
		e.Says = SaysRejected
	case o == OutcomeFailed && !oneMethod:
		e.Says = SaysFailing
	case w.Unprocessed:
		e.Says = SaysUnprocessed
	case o == OutcomeLost:
		e.Says = SaysLost
	case w.Picked && (o == OutcomeTimedOut || o == OutcomeCanceled && deadline):
		e.Says = SaysCutOff
	}
	return e
}

// Ends reports whether the outcome is the call's, so that there is no use in another attempt.
func (o Outcome) Ends() bool { return o == OutcomeOK || o == OutcomeRejected || o == OutcomeCanceled }
