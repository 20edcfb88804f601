// Runs a command as a machine, registered over Varlink: go run register.go NAME COMMAND [ARGUMENT…]
// Needs nothing but Go's own packages: a Varlink message is JSON with a zero byte behind it.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
)

type registration struct {
	Name         string `json:"name"`
	Class        string `json:"class"`
	Service      string `json:"service"`
	Leader       int    `json:"leader"`
	AllocateUnit bool   `json:"allocateUnit"`
}

type call struct {
	Method     string       `json:"method"`
	Parameters registration `json:"parameters"`
}

type reply struct {
	Error      string          `json:"error"`
	Parameters json.RawMessage `json:"parameters"`
}

func register(machine registration) error {
	runtime := os.Getenv("MACHINED_RUNTIME_DIRECTORY")
	if runtime == "" {
		runtime = "/run/systemd"
	}
	connection, err := net.Dial("unix", runtime+"/machine/io.systemd.Machine")
	if err != nil {
		return err
	}
	defer connection.Close()
	message, err := json.Marshal(call{"io.systemd.Machine.Register", machine})
	if err != nil {
		return err
	}
	if _, err := connection.Write(append(message, 0)); err != nil {
		return err
	}
	answer, err := bufio.NewReader(connection).ReadBytes(0)
	if err != nil {
		return err
	}
	var decoded reply
	if err := json.Unmarshal(answer[:len(answer)-1], &decoded); err != nil {
		return err
	}
	if decoded.Error != "" {
		return fmt.Errorf("%s %s", decoded.Error, decoded.Parameters)
	}
	return nil
}

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: register NAME COMMAND [ARGUMENT...]")
		os.Exit(2)
	}
	leader := exec.Command(os.Args[2], os.Args[3:]...)
	leader.Stdin, leader.Stdout, leader.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := leader.Start(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(127)
	}
	machine := registration{os.Args[1], "container", "example", leader.Process.Pid, true}
	if err := register(machine); err != nil {
		fmt.Fprintln(os.Stderr, err)
		leader.Process.Kill()
		leader.Wait()
		os.Exit(1)
	}
	leader.Wait()
	os.Exit(leader.ProcessState.ExitCode())
}
