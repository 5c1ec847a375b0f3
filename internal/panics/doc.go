// SPDX-License-Identifier: MIT

// Package panics recovers panics. A panic costs only what was being handled: a frame, an input of the control loop, a
// reading, a request. It is counted, kept with its stack, logged, and shown by `nicteam status`.
//
//	a frame, a request      UntrustedInput  it is dropped, and no more: otherwise its sender could end the team
//	one input of a loop     Do, Caught      it is dropped; the loop goes on
//	the state of a loop     Restart         the loop starts again
//	three of one kind       Fatal           the process ends with an error; its supervisor starts it again, and it
//	in ten seconds                          resumes from the adapter and the journal
package panics
