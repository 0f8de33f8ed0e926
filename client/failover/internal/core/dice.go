package core

// roll returns random bits that depend only on the arguments, so that a call has the same luck
// whatever other calls do meanwhile.
func roll(seed, a, b uint64) uint64 {
	x := mix(seed + 0x9e3779b97f4a7c15*(a+1))
	return mix(x + 0x9e3779b97f4a7c15*(b+1))
}

// DialDice returns the random bits of a replica's dial of that number.
func DialDice(seed uint64, key uint32, dial uint64) uint64 { return roll(^seed, uint64(key), dial) }

// mix is the finalizer of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
