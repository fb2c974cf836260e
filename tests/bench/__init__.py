"""``make bench``: what a queue costs beside the Swift it is made of.

Absolute rates say more about the machine than about the code, so every figure stands beside one of raw Swift, taken
through the same proxy, in the same account, seconds apart:

* One cluster, three nodes, three replicas, each server a process of its own; Swift's background daemons run, because
  deleting an expiring object leaves them work that has to be paid for.
* Raw and queue measurements take turns in short rounds, and change places from round to round, so that noise of the
  machine hits both alike. A ratio is taken within each round; what is shown is the median of the rounds.
* A raw PUT carries the same X-Delete-At as a message. The *raw pair* is what a claim and an ack cannot do without: a
  conditional PUT of a small object, and the DELETE of an object that was put with X-Delete-At.
* One program (:mod:`bench.load`) is all clients of both sides: keep-alive connections, driven by a single thread that
  does nothing else. Its own CPU time is taken too, and told.
* Every client works in a closed loop; one operation follows the other. Nobody starts an operation after the end of a
  measurement, and what is under way is finished. A client's rate is what it finished by the time that took, and the
  rate of a measurement is the sum of its clients'.
* Everything short is done once before the first round, so that nothing is measured cold.
* Swift requests are counted right of the queue filter, by :mod:`bench.meter`, which is in the pipeline for that.
* The filter's own CPU time is exact, not sampled: the meter is told of each switch between green threads and notes on
  whose behalf the time in between was spent. That is done apart from what is timed.
"""

METER_PATH = '/bench-meter'
