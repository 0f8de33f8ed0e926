package replicas

// Missing returns the count on which Want depends.
func (s *Set) Missing() int64 { return s.missing.Load() }
