// Package audit is the log: intent before the act, outcome after it, in a form
// that a stranger can verify offline with the public key alone.
//
// One writer appends records to preallocated segments. A batch of records, its
// leaf hashes and a checkpoint signed over the Merkle tree are one write and
// one fdatasync; a record is acknowledged when that has returned. The file
// "checkpoint" beside the segments holds the newest checkpoint that is known to
// be durable, so that a cut at the end shows.
//
// docs/log-format.md describes every byte.
package audit
