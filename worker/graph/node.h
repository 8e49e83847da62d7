/* node.h - what graph/ itself needs of a node's insides; everybody else uses graph.h. */
#ifndef WORKER_GRAPH_NODE_H
#define WORKER_GRAPH_NODE_H

struct graph;
struct node;
struct value;

void node_reset(struct node *n);                               /* teardown: as before op->setup */
void node_free(struct node *n);                                /* what it owns, not the struct */
int node_copy_attrs(struct node *to, const struct node *from); /* 0 or ERR_NOMEM */
void value_free(struct value *v);                              /* what it owns, not the struct */

#endif
