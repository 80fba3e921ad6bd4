# The Weibull survival model of times_stats, stated in brms: the same posterior, on brms's own
# likelihood and its own group-level effects.
# Called by hand:  python brms_weibull.py --write-study && Rscript brms_weibull.R && python brms_weibull.py
#
# Model of times_stats (k the shape, s the median follow-up, c the cohort, m marker, r region):
#   H(t) = exp(level + sum_mr beta_mr z_mr + a_c) (t/s)^k,  beta_mr = slope + marker_m + region_r + inter_mr
#   slope ~ N(1/2, 1/2), level ~ N(log crude rate per s, 2), log k ~ N(0, 1/2),
#   each of marker, region, inter and a is N(0, scale^2) with its own scale ~ half-normal(1/2).
#
# brms models the mean: weibull(k, scale = mu / Gamma(1 + 1/k)), log mu = b0 + b1 sum z + r_c + ...,
# so H(t) = exp(-k log mu + k lgamma(1 + 1/k)) t^k with t in units of s, and
#   level = -k b0 + k lgamma(1 + 1/k)    slope = -k b1    an effect = -k r    its scale = k sd.
# brms draws r = sd * u with u ~ N(0, 1), so an effect is scale * (-u), and -u ~ N(0, 1): the same.
# What is left is the prior of (b0, b1, four sd, k): the density of (level, slope, four scales, log k)
# at their values, times the Jacobian, whose matrix is triangular: k^6 for the first six and 1/k for
# the last, so 5 log k in all. brms's own priors are switched off (flat), `0 + Intercept` keeps the
# intercept where it is (brms would centre the columns), and beta_mr is said with multi-membership
# terms of weight 1: mm(m1, ..., m4) adds sum_j z_j * marker[m_j].
suppressMessages({library(brms); library(posterior)})
# Debian's BH package has no include folder of its own; Boost stands in /usr/include.
if (!nzchar(system.file("include", package = "BH"))) rstan::rstan_options(boost_lib = "/usr/include")
CHAINS <- 4; WARMUP <- 2000; DRAWS <- 15000; SEED <- 1
here <- dirname(sub("--file=", "", grep("--file=", commandArgs(), value = TRUE)))

d <- read.csv(file.path(here, "brms_weibull_study.csv"))
s <- median(d$time)
log_rate <- log(sum(d$event) * s / sum(d$time))
d$t <- d$time / s
d$total <- d$z1 + d$z2 + d$z3 + d$z4
# Columns z1 to z4 are marker A in x and y, then marker B in x and y.
for (j in 1:4) {
  d[[paste0("m", j)]] <- c("A", "A", "B", "B")[j]
  d[[paste0("r", j)]] <- c("x", "y", "x", "y")[j]
  d[[paste0("i", j)]] <- c("A, x", "A, y", "B, x", "B, y")[j]
}
d$one <- 1

formula <- bf(t | cens(1 - event) ~ 0 + Intercept + total + (1 | cohort) +
  (0 + mmc(z1, z2, z3, z4) | mm(m1, m2, m3, m4, weights = cbind(one, one, one, one), scale = FALSE)) +
  (0 + mmc(z1, z2, z3, z4) | mm(r1, r2, r3, r4, weights = cbind(one, one, one, one), scale = FALSE)) +
  (0 + mmc(z1, z2, z3, z4) | mm(i1, i2, i3, i4, weights = cbind(one, one, one, one), scale = FALSE)))
flat <- set_prior("", class = "b") + set_prior("", class = "sd") + set_prior("", class = "shape")
ours <- stanvar(log_rate, name = "log_rate", scode = "real log_rate;", block = "data") +
  stanvar(block = "model", scode = "
  target += normal_lpdf(shape * (lgamma(1 + 1 / shape) - b[1]) | log_rate, 2);
  target += normal_lpdf(-shape * b[2] | 0.5, 0.5);
  target += normal_lpdf(log(shape) | 0, 0.5);
  target += normal_lpdf(shape * sd_1[1] | 0, 0.5);
  target += normal_lpdf(shape * sd_2[1] | 0, 0.5);
  target += normal_lpdf(shape * sd_3[1] | 0, 0.5);
  target += normal_lpdf(shape * sd_4[1] | 0, 0.5);
  target += 5 * log(shape);")
stopifnot(colnames(make_standata(formula, d, family = weibull(), stanvars = ours)$X) == c("Intercept", "total"))

fit <- brm(formula, d, family = weibull(), prior = flat, stanvars = ours, chains = CHAINS,
  iter = WARMUP + DRAWS, warmup = WARMUP, seed = SEED, cores = as.integer(Sys.getenv("R_CORES", "1")),
  control = list(adapt_delta = 0.99, max_treedepth = 12), refresh = 5000)

x <- as_draws_array(fit)
of <- function(name) { v <- x[, , name]; array(v, dim(v)[1:2]) }
shape <- of("shape")
q <- list()
q[["log_shape"]] <- log(shape)
q[["intercept"]] <- shape * (lgamma(1 + 1 / shape) - of("b_Intercept"))
q[["slope"]] <- -shape * of("b_total")
groups <- c(cohort = "cohort", marker = "mmm1m2m3m4", region = "mmr1r2r3r4", interaction = "mmi1i2i3i4")
term <- function(group) if (group == "cohort") "Intercept" else "mmcz1z2z3z4"
for (group in names(groups))
  q[[paste0("scale[", group, "]")]] <- shape * of(paste0("sd_", groups[[group]], "__", term(group)))
effect <- function(group, level) {
  # brms writes a blank of a level as a dot
  name <- paste0("r_", groups[[group]], "[", gsub(" ", ".", level), ",", term(group), "]")
  -shape * of(name)
}
for (c in sort(unique(d$cohort))) q[[paste0("cohort[", c, "]")]] <- effect("cohort", c)
for (m in c("A", "B")) for (r in c("x", "y"))
  q[[paste0("beta[", m, ", ", r, "]")]] <- q[["slope"]] + effect("marker", m) + effect("region", r) +
    effect("interaction", paste0(m, ", ", r))

table <- do.call(rbind, lapply(names(q), function(name) {
  v <- q[[name]]
  data.frame(quantity = name, mean = mean(v), sd = sd(v), mcse_mean = mcse_mean(v), mcse_sd = mcse_sd(v),
    ess_bulk = ess_bulk(v), ess_tail = ess_tail(v), rhat = rhat(v))
}))
np <- nuts_params(fit)
divergent <- sum(subset(np, Parameter == "divergent__")$Value)
deep <- sum(subset(np, Parameter == "treedepth__")$Value >= 12)
write.csv(cbind(table[1], lapply(table[-1], signif, 10)), file.path(here, "brms_weibull.csv"), row.names = FALSE)
sink(file.path(here, "brms_weibull_session.txt"))
cat("chains ", CHAINS, ", warm-up ", WARMUP, ", draws ", DRAWS, ", seed ", SEED, "\n", sep = "")
cat("patients ", nrow(d), ", events ", sum(d$event), ", sum of times ", format(sum(d$time), digits = 10), "\n", sep = "")
cat("divergences ", divergent, ", draws at the largest tree depth ", deep, "\n", sep = "")
cat("seconds by chain (warm-up, sampling):\n"); print(rstan::get_elapsed_time(fit$fit))
cat("\n"); print(sessionInfo())
cat("\n"); cat(stancode(fit))
sink()
