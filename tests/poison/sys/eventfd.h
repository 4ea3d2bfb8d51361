#error "<sys/eventfd.h> is out of reach of actors: sockets belong to adapters"
