package main

import (
	"fmt"
	"os"
	"strings"

	"example.com/crashlab/client/experiment"
	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/experiment/record"
	"example.com/crashlab/client/experiment/trials"
)

// indexEnv is the environment variable with a pod's index in a Kubernetes Indexed Job.
const indexEnv = "JOB_COMPLETION_INDEX"

// shard is a share of the trials: INDEX/COUNT, or /COUNT in an Indexed Job.
type shard trials.Shard

func (s *shard) UnmarshalText(text []byte) error {
	whole, from := string(text), ""
	if strings.HasPrefix(whole, "/") {
		index, ok := os.LookupEnv(indexEnv)
		if !ok {
			return fmt.Errorf("%q: want an index before the slash, or %s in the environment", whole, indexEnv)
		}
		whole, from = index+whole, ", with the index from "+indexEnv
	}
	parsed, err := trials.ParseShard(whole)
	if err != nil {
		return fmt.Errorf("%w%s", err, from)
	}
	*s = shard(parsed)
	return nil
}

// ownTrials returns the trials that a run should have: those of its shard, or of the whole design.
func ownTrials(run *record.Run) []design.Trial {
	s, _ := trials.ParseShard(run.Manifest.Shard) // the zero value, all trials, without a shard
	return s.Of(run.Manifest.Design.Trials())
}

// shardVerdict returns nil if no check failed. Claims are judged for all shards together.
func shardVerdict(s experiment.Summary) error {
	for _, c := range s.Cells {
		for _, t := range c.Trials {
			if len(t.Violations) > 0 {
				return &exit{exitBelow, "a check failed"}
			}
		}
	}
	return nil
}
