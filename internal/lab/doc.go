// Package lab makes hosts, switches, cables and NICs out of network namespaces, bridges, veth pairs
// and TAPs, and sends traffic between them. Tests and `nicteam demo` run on it; nothing of
// it touches the machine's own network.
//
//	func TestMain(m *testing.M) { labtest.Main(m) } // private namespaces for the whole test binary
//
//	left, right := labtest.Host(t, "left"), labtest.Host(t, "right")
//	cable, err := lab.NewCable(left, "eth0", right, "eth0", lab.CableOptions{})
//	left.SetAddr("eth0", "10.9.0.1/24")
//
// Isolate re-executes the program in private namespaces, so whatever happens to it the kernel
// removes what it made. Everything here needs root and Linux, and iproute2 nowhere.
package lab
