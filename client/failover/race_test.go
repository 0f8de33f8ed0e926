//go:build race

package failover_test

func init() { raced = true }
