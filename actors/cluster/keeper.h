/* keeper.h - what loop 0's keeper knows of the nodes and does about the partitions. Internal.
 *
 * The plan (keeper_plan.c) is pure: from what the last heartbeat told to what the next one does.
 * Time: monotonic microseconds of this process. Another node is silent for as long as this one has
 * watched its beat stand still: neither a clock of that node counts, nor a time in which this one
 * could not look, as in an outage of the database, which silences all of them. */
#ifndef HOLDFAST_KEEPER_H
#define HOLDFAST_KEEPER_H

#include "actors/actors.h"
#include "actors/cluster/cluster.h"

/* Shares of the lease, in thousandths. A node's memory is good until SURE after it sent its last
 * heartbeat that worked; others bury it when they have seen its beat stand still for DEAD. Each
 * counts by its own clock, so these may differ in rate by as much as SURE is below DEAD: by one
 * eighth, or by 6 % of true time for each. */
#define KEEPER_SURE 700u
#define KEEPER_DEAD 800u
#define KEEPER_SLOW 500u   /* a node that is silent so long is left no partitions */
#define KEEPER_BEAT 100u   /* between two heartbeats */
#define KEEPER_SOON 10u    /* before one that has something to do */
#define KEEPER_WAIT 100u   /* of one for a lock */
#define KEEPER_GLANCE 150u /* of the time between two looks, what counts as watched */

enum keep_state {
  KEEP_NOT,       /* not this node's */
  KEEP_HELD,      /* this node's; its store actor is told OWN */
  KEEP_LOST,      /* another writer was there, or the database went back: a heartbeat that is sent
                     once its store actor has dropped it tells whose it is */
  KEEP_ASKED,     /* ... and is under way */
  KEEP_RELEASING, /* the store actor finishes what is in flight */
  KEEP_RELEASED,  /* the next heartbeat gives it up */
};

struct keep {       /* a partition */
  uint64_t owner;   /* as the last heartbeat told; 0: nobody */
  uint32_t release; /* corr of the RELEASE that is under way */
  uint8_t state;    /* enum keep_state */
  bool told;        /* its store actor thinks that it is ours */
};

struct watch { /* another node */
  struct store_node node;
  uint64_t silent_us; /* for how long its beat was watched standing still, until ... */
  uint64_t seen_us;   /* ... it was looked at last */
};

struct keeper { /* of loop 0, on a shared store */
  const struct hf_setup *setup;
  uint64_t timer;             /* of the next heartbeat */
  uint64_t sent_us;           /* of the heartbeat under way */
  uint64_t good_us;           /* when the last one that worked was sent; 0: none yet */
  uint64_t revision;          /* of the catalogue, as the loops were told */
  uint64_t incarnation, beat; /* of the database and this node's, as last told; 0: not yet */
  uint32_t releases;          /* asked so far */
  bool beating;               /* a heartbeat is under way */
  bool planned;               /* ... that buries, claims or releases */
  bool bare;                  /* the next one does not: the last one did, and failed */
  bool again;                 /* another is wanted at once */
  bool member;                /* the others count on this node */
  bool informed;              /* the loops were told to read the catalogue */
  bool failing;               /* the last heartbeat did not work: that was logged */
  bool leaving, left;         /* the node stops: it gives all partitions up; done */
  unsigned vain;              /* heartbeats that failed while leaving */
  unsigned partitions;
  unsigned watches_count;
  struct watch watches[STORE_NODES_MAX];
  struct keep keeps[1u << HF_PARTITION_BITS_MAX];
};

static inline uint64_t keeper_share_us(const struct keeper *keeper, unsigned thousandths)
{
  return keeper->setup->lease_us * thousandths / 1000u;
}
static inline bool keeper_takes(const struct keeper *keeper)
{
  return keeper->setup->node_takes && !keeper->leaving;
}

/* Notes whose beat moved, who is new and who is gone. */
void keeper_watch(struct keeper *keeper, const struct store_node *nodes, size_t count,
                  uint64_t now_us);
/* How many partitions this node is to have: exact shares, by the order of the node ids. */
unsigned keeper_share(const struct keeper *keeper, uint64_t now_us);
/* What a node has by now, those included whose fate is open. */
unsigned keeper_count(const struct keeper *keeper);
/* True: the database may have gone back behind what this node remembers, since the last heartbeat:
 * what it holds counts as lost, so that it is opened anew and compared. Before keeper_owners. */
bool keeper_went_back(struct keeper *keeper, const struct store_lease *lease);
/* Takes over what a heartbeat told of the owners. Returns how many partitions came here from a node
 * that had them before. */
unsigned keeper_owners(struct keeper *keeper, const uint64_t *owners);
/* Fills the lists of a heartbeat; they lie in its arena. */
void keeper_plan(const struct keeper *keeper, struct store_request *request, uint64_t now_us);
/* The next heartbeat would bury, claim or release. */
bool keeper_has_plan(const struct keeper *keeper, uint64_t now_us);
/* The buried have everything that they had taken away, this node its partitions. */
void keeper_forget(struct keeper *keeper);

/* HF_PLACES: what the heartbeat told, one copy for each loop, which frees it. */
struct keeper_place {
  uint64_t owner;
  uint8_t where; /* enum cluster_where */
};
struct keeper_places {
  uint64_t until_us;
  unsigned nodes_count;
  struct store_node nodes[STORE_NODES_MAX];
  struct keeper_place places[]; /* by partition */
};
struct keeper_places *keeper_places_new(const struct keeper *keeper);

#endif
