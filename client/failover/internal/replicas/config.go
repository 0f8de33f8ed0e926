package replicas

import (
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"weak"

	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/serviceconfig"
)

// PolicyName is the name of the load-balancing policy in a service config.
const PolicyName = "crashlab_failover"

// A service config is JSON, so it refers to the Set of its load-balancing policy by a number.
// grpc.NewClient removes the entry when it parses the config, so that a config serves exactly one
// connection. If no connection is made, the entry lives as long as the Set.
var (
	unclaimed sync.Map // string → weak.Pointer[Set]
	lastID    atomic.Uint64
)

// Config returns the JSON of the policy with the given Set. It serves one connection.
func Config(s *Set) json.RawMessage {
	id := strconv.FormatUint(lastID.Add(1), 10)
	unclaimed.Store(id, weak.Make(s))
	runtime.AddCleanup(s, func(id string) { unclaimed.Delete(id) }, id)
	return json.RawMessage(fmt.Sprintf(`[{%q:{"set":%q}}]`, PolicyName, id))
}

type config struct {
	serviceconfig.LoadBalancingConfig `json:"-"`

	set *Set
}

type builder struct{}

func init() { balancer.Register(builder{}) }

func (builder) Name() string { return PolicyName }

func (builder) ParseConfig(js json.RawMessage) (serviceconfig.LoadBalancingConfig, error) {
	var c struct{ Set string }
	if err := json.Unmarshal(js, &c); err != nil {
		return nil, err
	}
	entry, _ := unclaimed.LoadAndDelete(c.Set)
	p, _ := entry.(weak.Pointer[Set])
	set := p.Value()
	if set == nil {
		return nil, errors.New("failover: these dial options already serve a connection: call DialOptions once for each")
	}
	set.claimed.Store(true)
	return &config{set: set}, nil
}

func (builder) Build(cc balancer.ClientConn, opts balancer.BuildOptions) balancer.Balancer {
	return &policy{cc: cc, opts: opts}
}
