package replicas

// Missing is the count that Want goes by.
func (s *Set) Missing() int64 { return s.missing.Load() }
