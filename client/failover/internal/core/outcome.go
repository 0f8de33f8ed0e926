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

// Wire is what gRPC knows about the request of an attempt.
type Wire struct {
	Picked      bool // it was given a connection
	Sent        bool // some byte of it may have reached the wire
	Answered    bool // some byte of a reply has come back
	Unprocessed bool // the replica has refused it unprocessed, so that it counts as not sent
}

// End returns what an attempt's end says about its replica. deadline says that the caller's
// deadline has passed, oneMethod that the failure concerns only the one method.
func (o Outcome) End(w Wire, deadline, oneMethod bool) End {
	e := End{Answered: w.Answered && o != OutcomeCanceled, Sent: w.Sent}
	switch {
	case o == OutcomeOK && w.Answered:
		e.Evidence = EvidenceOK
	case o == OutcomeRejected && w.Answered:
		e.Evidence = EvidenceRejected
	case o == OutcomeFailed && !oneMethod:
		e.Evidence = EvidenceFailed
	case w.Unprocessed:
		e.Evidence = EvidenceUnprocessed
	case o == OutcomeLost:
		e.Evidence = EvidenceLost
	case w.Picked && (o == OutcomeTimedOut || o == OutcomeCanceled && deadline):
		e.Evidence = EvidenceCutOff
	}
	return e
}

// Ends reports whether the outcome ends the call.
func (o Outcome) Ends() bool { return o == OutcomeOK || o == OutcomeRejected || o == OutcomeCanceled }
