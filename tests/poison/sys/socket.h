#error "<sys/socket.h> is out of reach of actors: sockets belong to adapters"
