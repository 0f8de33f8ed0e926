// Package peers compares failover with what else carries gRPC calls through replicas:
// go-grpc-middleware's retry and timeout, failsafe-go's, and grpc-go's own retryPolicy, each over
// round_robin. It has nothing but tests, and is a module of its own so that failover depends on
// gRPC and protobuf alone.
//
// All of them call grpc.health.v1.Health/Check over TCP on loopback, at the same three replicas,
// which are processes of their own. A call has three attempts at most, with no pause between them.
// The clients called bare have nothing of this: a connection to the first replica.
//
//	cd client/failover/peers
//	go test -run '^$' -bench 'Call|Throughput' -count 10 | tee peers.txt    # 10 minutes
//	benchstat -col /client peers.txt
//
// BenchmarkCall is the time of a whole call, one at a time; BenchmarkThroughput is a call's share
// of the time when 64 goroutines call at once. With a deadline, each attempt has it; bare,
// round-robin and retryPolicy know no attempts, so there the call has it.
//
// A shared machine is never as fast as it was a second ago. So the clients take turns of a few
// milliseconds, in random order, and x-bare is the figure to look at: the median, over the turns,
// of a client's time as a multiple of bare's in the same turn. A second bare connection,
// bare-again, shows how fine the measure is: it should have 1. round-robin is what calling three
// processes in turn, rather than one, costs the others before they add anything. N is how many
// calls were made for a line, whatever -benchtime says, and each -count has connections of its own.
//
//	go test -run '^$' -bench Crash -benchtime 1000x    # a minute
//
// BenchmarkCrash is the way from a crash to success: a replica exits with a call in flight, and the
// time runs from just before the exit, which the replica reports, to the call's success at another
// replica. The figures called noticed are of the part until the first attempt has ended, as its
// connection broke: that is up to the operating system and gRPC.
//
//	go test -run '^$' -bench OneHealthyReplica -benchtime 20000x    # a minute
//
// BenchmarkOneHealthyReplica is the share of the calls that fail although one replica of three is
// healthy, where the two others are gone, and where they answer every call with Unavailable.
// TestOneHealthyReplica holds failover to none.
package peers
