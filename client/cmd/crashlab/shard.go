package main

import (
	"fmt"
	"math"
	"os"

	"example.com/crashlab/client/experiment"
	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/experiment/record"
	"example.com/crashlab/client/experiment/trials"
	"example.com/crashlab/supervisor/parse"
)

// indexEnv is the variable that has a pod's index in an Indexed Job of Kubernetes.
const indexEnv = "JOB_COMPLETION_INDEX"

// shard is a share of the trials, as INDEX/COUNT, or as /COUNT in an Indexed Job.
type shard trials.Shard

func (s *shard) UnmarshalText(text []byte) error {
	var index *int
	if value, ok := os.LookupEnv(indexEnv); ok && len(text) > 0 && text[0] == '/' {
		n, err := parse.Whole(value, 0, math.MaxInt)
		if err != nil {
			return fmt.Errorf("%q: %s %w", text, indexEnv, err)
		}
		index = &n
	}
	parsed, err := trials.ParseShard(string(text), index)
	if err != nil && len(text) > 0 && text[0] == '/' {
		return fmt.Errorf("%w; without one it is %s of the environment", err, indexEnv)
	}
	*s = shard(parsed)
	return err
}

// ownTrials returns the trials of a run: those of the design, or of its shard.
func ownTrials(run *record.Run) []design.Trial {
	s, _ := trials.ParseShard(run.Manifest.Shard, nil) // the zero value for a run that is none
	return s.Of(run.Manifest.Design.Trials())
}

// shardVerdict returns nil when the checks have found nothing: claims are for all shards together.
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
