"""The synthetic region: invented people, their records in three facilities, and the files those would write.

Leaves:  loading and showing it to the demonstration; nothing here opens the hub or imports an adapter.

Everything is a function of a seed, a number of people and a reference date: no clock, no hash order, no
floating-point function that may differ between platforms.
"""
