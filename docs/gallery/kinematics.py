"""Where robot arms reach, and how well they move there: jaxlie, arms x shoulders x elbows."""

import common
import jax
import jax.numpy as jnp
import jaxlie

# [one example]
from autovmap import auto_vmap, like


def make_arm(upper, fore):
    """Three joints and the tip at rest, each in the frame of the one before."""
    offsets = jnp.array([[0, 0, 0.4], [0.15, 0, 0], [upper, 0, 0], [fore, 0, 0]])  # m
    return jaxlie.SE3(jnp.concatenate([jnp.tile(jnp.eye(4)[0], (4, 1)), offsets], -1))


@auto_vmap(arm=like(make_arm(0.5, 0.5)), yaw=0, shoulder=0, elbow=0)
def positions(arm, yaw, shoulder, elbow):
    """Where base, shoulder, elbow and tip of one arm are, in one pose."""
    # the base turns about z, the other joints about -y
    turns = jnp.stack([yaw, -shoulder, -elbow])
    twists = jnp.zeros((4, 6)).at[(0, 1, 2), (5, 4, 4)].set(turns)

    def attach(pose, joint):
        home, twist = joint
        pose = pose @ jaxlie.SE3(home) @ jaxlie.SE3.exp(twist)
        return pose, pose.translation()

    return jax.lax.scan(attach, jaxlie.SE3.identity(), (arm.wxyz_xyz, twists))[1]


def to_manipulability(positions):
    """Yoshikawa's measure: how large a volume of tip velocities the joints span."""

    def manipulability(*pose):
        jacobian = jnp.stack(jax.jacfwd(positions, (1, 2, 3))(*pose), -1)
        return jnp.abs(jnp.linalg.det(jacobian[-1]))

    return manipulability


# [the call]
lengths = jnp.array([[0.5, 0.5], [0.65, 0.35], [0.8, 0.2]])  # m: upper arm, forearm
arms = jaxlie.SE3(jnp.stack([make_arm(*both).wxyz_xyz for both in lengths]))
shoulders = jnp.radians(jnp.linspace(-30, 120, 61))
elbows = jnp.radians(jnp.linspace(-180, 0, 73))
grid = arms, 0.0, shoulders, elbows

place = positions.outer("arm", "shoulder", "elbow").jit()
manipulability = place.lift(to_manipulability)


# [by hand]
def by_hand(function, arms, yaw, shoulders, elbows):
    over_elbows = jax.vmap(function, (None, None, None, 0))
    over_shoulders = jax.vmap(over_elbows, (None, None, 0, None))
    return jax.vmap(over_shoulders, (0, None, None, None))(arms, yaw, shoulders, elbows)


# [end]
def draw(placed, measure):
    figure = common.new_figure(9, 3.5)
    panels = figure.subplots(1, 3, sharex=True, sharey=True)
    for k, axes in enumerate(panels):
        x, z = placed[k, ..., -1, 0], placed[k, ..., -1, 2]
        shades = axes.pcolormesh(
            x, z, measure[k], shading="gouraud", cmap="viridis", vmin=0, vmax=measure.max()
        )
        arm = jnp.concatenate([jnp.zeros((1, 3)), placed[k, 34, 37]])  # in one of its poses
        axes.plot(arm[:, 0], arm[:, 2], "o-", color="white", lw=5, ms=8)
        axes.plot(arm[:, 0], arm[:, 2], "o-", color=common.INK, lw=2.5, ms=5)
        axes.axhline(0, color=common.GREY, lw=0.8)
        axes.set(aspect="equal", xlabel="distance from the base (m)")
        upper, fore = lengths[k]
        axes.set_title(f"links of {upper:.2f} m and {fore:.2f} m")
    panels[0].set_ylabel("height (m)")
    figure.colorbar(shades, ax=panels, label="manipulability (m³)", shrink=0.8, aspect=25)
    common.save(figure, "kinematics.png")


def main():
    print(place.plan(*grid))
    placed, measure = place(*grid), manipulability(*grid)

    plain = positions.__wrapped__
    one_placed, one_measure = jax.jit(plain), jax.jit(to_manipulability(plain))

    def one(i, j, k):
        pose = jaxlie.SE3(arms.wxyz_xyz[i]), 0.0, shoulders[j], elbows[k]
        return one_placed(*pose), one_measure(*pose)

    common.check((placed, measure), measure.shape, one)
    nested = jax.jit(by_hand, static_argnums=0)(plain, *grid)
    assert jnp.array_equal(placed, nested), "the hand-written nest differs"
    draw(placed, measure)


if __name__ == "__main__":
    main()
