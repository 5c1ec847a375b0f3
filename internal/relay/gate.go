package relay

// A gate says who moves the frames of a direction: of transmission, or of what one member receives. It is a word in
// memory that programs in the kernel share, and each frame that they see is dealt with as it says at that moment.
// Whoever makes the programs owns the memory; the relay only changes the word.
const (
	GateSlow uint32 = iota // the relay moves: the program lets the frame pass
	GateHold               // the relay has nothing left: a program makes it GateSlow, by compare-and-swap, and lets the frame pass
	GateFast               // the program moves the frame
	GateShut               // the program drops the frame and counts it
)

// How a direction is handed over, so that no frame is lost, doubled, or overtaken by a later one:
//
//  1. Only the goroutine of the relay that moves the direction's frames hands it over (Yield, YieldMember), for it
//     alone knows when there is nothing left: it has read until there was no more, and all that it read has been
//     given to the kernel, which it is in one go with reading.
//  2. It then makes the gate GateHold and goes on reading for strayTime. A frame may have been let pass just before, and
//     be on its way between the program and what the relay reads from.
//  3. If a frame came meanwhile, it moves that and begins anew. Where the gate was GateHold already the program
//     has made it GateSlow, so that the frame is followed by those behind it.
//  4. If none did, it makes the gate GateFast, by compare-and-swap: that fails if a program was quicker, and
//     then it begins anew. From here on programs move what comes, behind all that the relay has moved.
//  5. A load that makes no pause of strayTime never lets it come so far. After pauseTime it makes the gate GateShut:
//     nothing passes then. It moves what is still there until nothing has come for shutTime, and makes the gate
//     GateFast. What comes in this moment is lost, and counted by the program. No order is lost.
//
// Gates are taken back by Regain and RegainMember, at once: the gate is made GateSlow. What programs have
// transmitted before is in the member's queue then, so nothing overtakes it. What they have received may still be on its way
// to the adapter's stack, in the queue of the processor that it came in on, whereas the relay's write passes
// by that queue. So the member's goroutine lets what comes wait in its socket for settleTime first.
//
// The relay does not touch a gate's memory but in these four calls.
