// Package web is the gate for everything that travels over TCP: HTTP/1.1,
// HTTP/2, WebSocket, server-sent events, and plain TCP services.
//
// Egress is transparent. The task's network namespace delivers every connection
// to a listener that [Gate.Serve] accepts from; the connection's local address
// is where the agent wanted to go. TLS is ended here with the task's own
// [Authority] when HTTP rules apply. Every request becomes one or several
// actions and takes the way of the pipeline; the upstream is contacted only
// from the pipeline's perform step.
//
// Where the agent, this package and the upstream could read the same bytes
// differently, the request is refused.
package web
