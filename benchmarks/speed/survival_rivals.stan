// The Weibull model of times_stats, by hand: effects by matrix, non-centred as there at these sizes,
// one matrix product, one gather and one exp per patient; terms of the events summed beforehand.
// Syntax of Stan 2.21, the version of rstan in Debian 12.
data {
  int<lower=1> N;
  int<lower=1> K;
  int<lower=1> E;
  int<lower=1> G;
  int<lower=1> C;
  matrix[N, K] z;
  vector[N] log_time;
  vector[N] event;
  int<lower=1, upper=C> cohort[N];
  matrix[K, E] design;
  int<lower=1, upper=G> group[E];
  vector[7] prior;  // slope mean, slope sd, effect scale, level sd, log rate, cohort scale, shape sd
}
transformed data {
  real n_events = sum(event);
}
parameters {
  real slope;
  vector<lower=0>[G] effect_scale;
  vector[E] effect_latent;
  real level;
  real<lower=0> cohort_scale;
  vector[C] cohort_latent;
  real log_shape;
}
transformed parameters {
  vector[K] beta = slope + design * (effect_latent .* effect_scale[group]);
  vector[C] cohort_effect = cohort_latent * cohort_scale;
  real intercept = level + prior[5];
}
model {
  vector[N] log_cumulative = intercept + z * beta + cohort_effect[cohort] + exp(log_shape) * log_time;
  target += dot_product(event, log_cumulative) + n_events * log_shape - sum(exp(log_cumulative));
  slope ~ normal(prior[1], prior[2]);
  effect_scale ~ normal(0, prior[3]);
  level ~ normal(0, prior[4]);
  cohort_scale ~ normal(0, prior[6]);
  log_shape ~ normal(0, prior[7]);
  effect_latent ~ std_normal();
  cohort_latent ~ std_normal();
}
