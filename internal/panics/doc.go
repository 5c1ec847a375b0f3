// Package panics keeps what a process goes on after. A panic costs the one thing that was being handled: a frame, an
// input of the control loop, a reading, a request. It is counted, kept with its stack, said in the log once, and shown
// by `nicteam status`.
//
//	a frame, a request      Foreign       dropped; never more than that, or whoever sends it could end the team
//	one thing of a loop     Do, Caught    given up; the loop goes on
//	a loop's own state      Again         the loop begins anew
//	the third of one kind   Fatal         the process ends with an error: its supervisor starts another one, which
//	in ten seconds                        takes up the adapter and the journal
package panics
