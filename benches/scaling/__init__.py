"""How the bus scales: with senders, receivers, members, endpoints, and time.

What is measured side by side with other transports is in ``benches``; here the bus is compared with itself when it
was smaller or younger, in one run, in rounds that take turns. Wherever the machine itself could be to blame (a
neighbour that takes the core away) something without a bus is measured beside it.

``crew``      processes that obey, several endpoints each
``findings``  what a study hands back: figures, tables, claims, panels of the picture
``studies``   what is measured, one module each
``picture``   all panels as one SVG
``__main__``  which studies run, and where their findings go
"""
