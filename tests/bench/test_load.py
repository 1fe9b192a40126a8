"""What wrk says, as it says it: seconds with a space behind."""

from tests.bench.load import Taken, read_wrk

SAID = """Running 4s test @ http://127.0.0.1:3001/x
  1 threads and 16 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency    96.83ms   61.55ms 410.20ms   78.11%
    Req/Sec   172.75     51.22   303.00     70.00%
  Latency Distribution
     50%  850.00us
     75%  112.50ms
     90%  177.58ms
     99%    1.30s\x20
  687 requests in 4.00s, 1.49MB read
"""


def test_units_are_milliseconds_and_without_a_word_of_errors_there_are_none() -> None:
    assert read_wrk(SAID + "Requests/sec:    171.60\n") == Taken(171.6, 0.85, 1300.0, 0)


def test_what_is_refused_and_what_breaks_off_are_errors() -> None:
    errors = "  Socket errors: connect 1, read 2, write 0, timeout 4\n"
    refused = "  Non-2xx or 3xx responses: 600\n"

    assert read_wrk(SAID + errors + refused + "Requests/sec: 9.5\n").errors == 607
