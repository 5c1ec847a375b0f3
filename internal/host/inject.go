package host

import (
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

const (
	liveFrames = 1 << 1 // BPF_F_TEST_XDP_LIVE_FRAMES, Linux ≥ 5.18
	xdpPass    = 2      // XDP_PASS
)

// xdpContext is struct xdp_md.
type xdpContext struct {
	Data, DataEnd, DataMeta uint32
	IngressIndex, RxQueue   uint32
	EgressIndex             uint32
}

// injector hands frames to the host's own stack as if a link had received them: the kernel runs an XDP program that
// passes them, without attaching it to the link.
type injector struct{ pass *ebpf.Program }

func newInjector() (*injector, error) {
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "nicteam_pass", Type: ebpf.XDP, License: "GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, xdpPass), asm.Return()},
	})
	if err != nil {
		return nil, fmt.Errorf("load XDP program: %w", err)
	}
	return &injector{p}, nil
}

func (i *injector) close() { i.pass.Close() }

// receive hands over one frame for the link with that ifindex.
func (i *injector) receive(index int, frame []byte) error {
	_, err := i.pass.Run(&ebpf.RunOptions{
		Data:    frame,
		Context: xdpContext{DataEnd: uint32(len(frame)), IngressIndex: uint32(index)},
		Repeat:  1,
		Flags:   liveFrames,
	})
	if err != nil {
		return fmt.Errorf("inject a frame: %w", err)
	}
	return nil
}
