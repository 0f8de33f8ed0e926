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

// indexEnv is the variable that has a pod's index in an Indexed Job of Kubernetes.
const indexEnv = "JOB_COMPLETION_INDEX"

// shard is a share of the trials, as INDEX/COUNT, or as /COUNT in an Indexed Job.
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

// ownTrials returns the trials of a run: those of the design, or of its shard.
func ownTrials(run *record.Run) []design.Trial {
	s, _ := trials.ParseShard(run.Manifest.Shard) // the zero value for a run that is none
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
