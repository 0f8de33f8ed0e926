package core

// Hazard stub.
type Hazard struct{}

func (h *Hazard) Survived()     {}
func (h *Hazard) Crashed()      {}
func (h *Hazard) Rate() float64 { return 0 }
func (h *Hazard) Limit() int    { return 0 }
