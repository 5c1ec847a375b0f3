// SPDX-License-Identifier: MIT

// Package managers tells those who configure a host's NICs that a team has taken over: they go on with the adapter in
// place of the members, so that leases are renewed and names resolve.
//
//	bus         the system bus, and who on it serves this network namespace
//	resolved    systemd-resolved: DNS servers of a link
//	networkd    systemd-networkd: its files and its state (networkd.go), a file for the adapter (networkfile.go), and
//	            what is done with them (networkd_serve.go)
//	networkmanager  NetworkManager's devices and profiles (networkmanager.go), and what is done with them
//	            (networkmanager_serve.go)
//	token       keeps an address that comes from router advertisements
//	guard       keeps addresses while a manager takes a link
//	team        what is done for one team, in order
//	record      what the next process of a team must know
//
// Everything here is best effort: a manager that is missing, or that refuses, is a warning and stops no team. What is
// changed ends with the adapter or is undone by GiveBack, also after the team's process was killed.
//
// A team's process may start no programs, so managers are spoken to by D-Bus and by files in /run.
package managers
