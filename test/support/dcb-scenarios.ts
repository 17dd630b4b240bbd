/**
 * The scenarios of dcb.events (docs/examples): what was, what is asked for, what comes of it. Declared for an engine, as the
 * contract is.
 */

import { beforeEach, describe, expect, test } from 'vitest';
import { CourseAggregate, CourseRepository } from '../../examples/decisions/course-aggregate.ts';
import {
  capacityChanged,
  changeCourseCapacity,
  courseDefined,
  defineCourse,
  studentSubscribed,
  subscribeStudent,
} from '../../examples/decisions/courses.ts';
import { createInvoice, createInvoiceAfterLast, invoiceCreated } from '../../examples/decisions/invoices.ts';
import { orderPlaced, placeOrder } from '../../examples/decisions/orders.ts';
import {
  orderProduct,
  orderProducts,
  productDefined,
  productPriceChanged,
  productsOrdered,
} from '../../examples/decisions/prices.ts';
import { confirmSignUp, signUp } from '../../examples/decisions/sign-ups.ts';
import {
  accountClosed,
  accountRegistered,
  registerAccount,
  usernameChanged,
} from '../../examples/decisions/usernames.ts';
import type { EventEngine } from '../../src/events/engine.ts';
import type { NewEvent } from '../../src/events/event.ts';
import { EventStore } from '../../src/events/event-store.ts';

interface Scenario {
  name: string;
  given?: NewEvent[];
  when: () => Promise<unknown>;
  result: NewEvent | string;
}

function daysAgo(days: number, event: NewEvent): NewEvent {
  return { ...event, metadata: { daysAgo: days } };
}

/** @param open makes an engine without events; called for each test */
export function dcbScenarios(engineName: string, open: () => Promise<EventEngine>): void {
  describe(`decisions on ${engineName}`, () => {
    let store: EventStore;

    beforeEach(async () => {
      store = new EventStore(await open());
    });

    function scenarios(list: readonly Scenario[]): void {
      test.each(list)('$name', async ({ given = [], when, result }) => {
        if (given.length > 0) await store.append(given);
        if (typeof result === 'string') await expect(when()).rejects.toThrow(new Error(result));
        else await when();
        const appended = await store.read('all', { after: BigInt(given.length) });
        const expected = typeof result === 'string' ? [] : [result];
        expect(appended.map(({ type, data, tags }) => ({ type, data, tags }))).toEqual(expected);
      });
    }

    describe('course subscriptions', () => {
      const subscribedTo = (...courses: string[]): NewEvent[] =>
        courses.map((course) => studentSubscribed('s1', course));
      scenarios([
        {
          name: 'Define course with existing id',
          given: [courseDefined('c1', 10)],
          when: () => defineCourse(store, 'c1', 15),
          result: 'Course with id "c1" already exists',
        },
        {
          name: 'Define course with new id',
          when: () => defineCourse(store, 'c1', 15),
          result: courseDefined('c1', 15),
        },
        {
          name: 'Change capacity of a non-existing course',
          when: () => changeCourseCapacity(store, 'c0', 15),
          result: 'Course "c0" does not exist',
        },
        {
          name: 'Change capacity of a course to a new value',
          given: [courseDefined('c1', 12)],
          when: () => changeCourseCapacity(store, 'c1', 15),
          result: capacityChanged('c1', 15),
        },
        {
          name: 'Change capacity of a course to the value it has',
          given: [courseDefined('c1', 12), capacityChanged('c1', 15)],
          when: () => changeCourseCapacity(store, 'c1', 15),
          result: 'New capacity 15 is the same as the current capacity',
        },
        {
          name: 'Subscribe student to non-existing course',
          when: () => subscribeStudent(store, 's1', 'c0'),
          result: 'Course "c0" does not exist',
        },
        {
          name: 'Subscribe student to fully booked course',
          given: [courseDefined('c1', 3), ...['s1', 's2', 's3'].map((id) => studentSubscribed(id, 'c1'))],
          when: () => subscribeStudent(store, 's4', 'c1'),
          result: 'Course "c1" is already fully booked',
        },
        {
          name: 'Subscribe student to the same course twice',
          given: [courseDefined('c1', 10), studentSubscribed('s1', 'c1')],
          when: () => subscribeStudent(store, 's1', 'c1'),
          result: 'Student already subscribed to this course',
        },
        {
          name: 'Subscribe student to more than 5 courses',
          given: [courseDefined('c6', 10), ...subscribedTo('c1', 'c2', 'c3', 'c4', 'c5')],
          when: () => subscribeStudent(store, 's1', 'c6'),
          result: 'Student already subscribed to 5 courses',
        },
        {
          name: 'Subscribe student to a fifth course',
          given: [courseDefined('c6', 10), ...subscribedTo('c1', 'c2', 'c3', 'c4')],
          when: () => subscribeStudent(store, 's1', 'c6'),
          result: studentSubscribed('s1', 'c6'),
        },
        {
          name: 'Subscribe student to course with capacity',
          given: [courseDefined('c1', 10)],
          when: () => subscribeStudent(store, 's1', 'c1'),
          result: studentSubscribed('s1', 'c1'),
        },
      ]);
    });

    describe('unique username', () => {
      scenarios([
        {
          name: 'Register account with claimed username',
          given: [accountRegistered('u1')],
          when: () => registerAccount(store, 'u1'),
          result: 'Username "u1" is claimed',
        },
        {
          name: 'Register account with unused username',
          when: () => registerAccount(store, 'u1'),
          result: accountRegistered('u1'),
        },
        {
          name: 'Register account with username of closed account',
          given: [accountRegistered('u1'), accountClosed('u1')],
          when: () => registerAccount(store, 'u1'),
          result: accountRegistered('u1'),
        },
        {
          name: 'Register account with a username that was previously used and then changed',
          given: [accountRegistered('u1'), usernameChanged('u1', 'u1changed')],
          when: () => registerAccount(store, 'u1'),
          result: accountRegistered('u1'),
        },
        {
          name: 'Register account with a username that another username was changed to',
          given: [accountRegistered('u1'), usernameChanged('u1', 'u1changed')],
          when: () => registerAccount(store, 'u1changed'),
          result: 'Username "u1changed" is claimed',
        },
        {
          name: 'Register username of closed account before retention period',
          given: [daysAgo(4, accountRegistered('u1')), daysAgo(3, accountClosed('u1'))],
          when: () => registerAccount(store, 'u1', true),
          result: 'Username "u1" is claimed',
        },
        {
          name: 'Register changed username before retention period',
          given: [daysAgo(4, accountRegistered('u1')), daysAgo(3, usernameChanged('u1', 'u1changed'))],
          when: () => registerAccount(store, 'u1', true),
          result: 'Username "u1" is claimed',
        },
        {
          name: 'Register username of closed account after retention period',
          given: [daysAgo(4, accountRegistered('u1')), daysAgo(4, accountClosed('u1'))],
          when: () => registerAccount(store, 'u1', true),
          result: accountRegistered('u1'),
        },
        {
          name: 'Register changed username after retention period',
          given: [daysAgo(4, accountRegistered('u1')), daysAgo(4, usernameChanged('u1', 'u1changed'))],
          when: () => registerAccount(store, 'u1', true),
          result: accountRegistered('u1'),
        },
      ]);
    });

    describe.each([
      ['invoice number', createInvoice],
      ['invoice number, of the last event only', createInvoiceAfterLast],
    ] as const)('%s', (_name, create) => {
      scenarios([
        {
          name: 'Create first invoice',
          when: () => create(store, { foo: 'bar' }),
          result: invoiceCreated(1, { foo: 'bar' }),
        },
        {
          name: 'Create second invoice',
          given: [invoiceCreated(1, { foo: 'bar' })],
          when: () => create(store, { bar: 'baz' }),
          result: invoiceCreated(2, { bar: 'baz' }),
        },
        {
          name: 'Create an invoice behind many events of another type',
          given: [invoiceCreated(7, {}), orderPlaced('o1', 't1'), orderPlaced('o2', 't2')],
          when: () => create(store, {}),
          result: invoiceCreated(8, {}),
        },
      ]);

      test('numbers that are given at the same time have no gaps', async () => {
        await Promise.all(Array.from({ length: 5 }, () => create(store, {})));
        const invoices = await store.read([{ types: ['InvoiceCreated'] }]);
        expect(invoices.map(({ data }) => (data as { invoiceNumber: number }).invoiceNumber)).toEqual([
          1, 2, 3, 4, 5,
        ]);
      });
    });

    describe('opt-in token', () => {
      const none = 'No pending sign-up for this OTP / email address';
      scenarios([
        {
          name: 'Confirm SignUp for non-existing OTP',
          when: () => confirmSignUp(store, 'john.doe@example.com', '000000'),
          result: none,
        },
        {
          name: 'Confirm SignUp for OTP assigned to different email address',
          given: [signUp('SignUpInitiated', 'john.doe@example.com', '111111', 'John Doe')],
          when: () => confirmSignUp(store, 'jane.doe@example.com', '111111'),
          result: none,
        },
        {
          name: 'Confirm SignUp for already used OTP',
          given: [
            signUp('SignUpInitiated', 'john.doe@example.com', '222222', 'John Doe'),
            signUp('SignUpConfirmed', 'john.doe@example.com', '222222', 'John Doe'),
          ],
          when: () => confirmSignUp(store, 'john.doe@example.com', '222222'),
          result: 'OTP was already used',
        },
        {
          name: 'Confirm SignUp for expired OTP',
          given: [
            {
              ...signUp('SignUpInitiated', 'john.doe@example.com', '333333', 'John Doe'),
              metadata: { minutesAgo: 61 },
            },
          ],
          when: () => confirmSignUp(store, 'john.doe@example.com', '333333'),
          result: none,
        },
        {
          name: 'Confirm SignUp for OTP that has not expired',
          given: [
            {
              ...signUp('SignUpInitiated', 'john.doe@example.com', '333333', 'John Doe'),
              metadata: { minutesAgo: 60 },
            },
          ],
          when: () => confirmSignUp(store, 'john.doe@example.com', '333333'),
          result: signUp('SignUpConfirmed', 'john.doe@example.com', '333333', 'John Doe'),
        },
        {
          name: 'Confirm SignUp for valid OTP',
          given: [signUp('SignUpInitiated', 'john.doe@example.com', '444444', 'John Doe')],
          when: () => confirmSignUp(store, 'john.doe@example.com', '444444'),
          result: signUp('SignUpConfirmed', 'john.doe@example.com', '444444', 'John Doe'),
        },
      ]);
    });

    describe('prevent record duplication', () => {
      scenarios([
        {
          name: 'Place order with previously used idempotency token',
          given: [orderPlaced('o12345', '11111')],
          when: () => placeOrder(store, 'o54321', '11111'),
          result: 'Re-submission',
        },
        {
          name: 'Place order with new idempotency token',
          given: [orderPlaced('o12345', '11111')],
          when: () => placeOrder(store, 'o54321', '22222'),
          result: orderPlaced('o54321', '22222'),
        },
      ]);
    });

    describe('dynamic product price', () => {
      const cart = (...prices: [string, number][]) =>
        prices.map(([productId, price]) => ({ productId, price }));
      describe('one price', () => {
        scenarios([
          {
            name: 'Order product with invalid displayed price',
            given: [productDefined('p1', 123)],
            when: () => orderProduct(store, 'p1', 100),
            result: 'Price has changed',
          },
          {
            name: 'Order product with valid displayed price',
            given: [productDefined('p1', 123)],
            when: () => orderProduct(store, 'p1', 123),
            result: productsOrdered(cart(['p1', 123])),
          },
        ]);
      });

      describe('prices that change', () => {
        scenarios([
          {
            name: 'Order product with a displayed price that was never valid',
            given: [productDefined('p1', 123, 80)],
            when: () => orderProducts(store, cart(['p1', 100]), 100),
            result: 'Price is no longer valid',
          },
          {
            name: 'Order product with a price that was changed more than 10 minutes ago',
            given: [productDefined('p1', 123, 80), productPriceChanged('p1', 134, 80)],
            when: () => orderProducts(store, cart(['p1', 123]), 100),
            result: 'Price is no longer valid',
          },
          {
            name: 'Order product with initial valid price',
            given: [productDefined('p1', 123, 80)],
            when: () => orderProducts(store, cart(['p1', 123]), 100),
            result: productsOrdered(cart(['p1', 123])),
          },
          {
            name: 'Order product with a price that was changed less than 10 minutes ago',
            given: [productDefined('p1', 123, 80), productPriceChanged('p1', 134, 91)],
            when: () => orderProducts(store, cart(['p1', 123]), 100),
            result: productsOrdered(cart(['p1', 123])),
          },
          {
            name: 'Order product with valid new price',
            given: [productDefined('p1', 123, 80), productPriceChanged('p1', 134, 91)],
            when: () => orderProducts(store, cart(['p1', 134]), 100),
            result: productsOrdered(cart(['p1', 134])),
          },
        ]);
      });

      describe('several products', () => {
        const given = [
          productDefined('p1', 123, 80),
          productPriceChanged('p1', 134, 91),
          productDefined('p2', 321, 92),
        ];
        scenarios([
          {
            name: 'Order multiple products with valid prices',
            given,
            when: () => orderProducts(store, cart(['p1', 123], ['p2', 321]), 100),
            result: productsOrdered(cart(['p1', 123], ['p2', 321])),
          },
          {
            name: 'Order multiple products, one of them with a price that was never valid',
            given,
            when: () => orderProducts(store, cart(['p1', 123], ['p2', 320]), 100),
            result: 'Price is no longer valid',
          },
        ]);
      });
    });

    describe('event-sourced aggregate', () => {
      test('is saved, loaded, changed and saved again', async () => {
        const courses = new CourseRepository(store);
        const created = CourseAggregate.create('c1', 'Course 01', 10);
        await courses.save(created);
        const loaded = await courses.load('c1');
        loaded.changeCapacity(15);
        await courses.save(loaded);
        const events = await store.read([{ tags: ['course:c1'] }]);
        expect(events.map(({ type }) => type)).toEqual(['CourseDefined', 'CourseCapacityChanged']);
        expect((await courses.load('c1')).version).toBe(2n);
      });

      test('keeps its rules', async () => {
        const course = CourseAggregate.create('c1', 'Course 01', 2);
        course.subscribeStudent('s1');
        course.subscribeStudent('s2');
        expect(() => course.subscribeStudent('s3')).toThrow('Course "c1" is already fully booked');
        expect(() => course.changeCapacity(1)).toThrow('already has 2 active subscriptions');
        const courses = new CourseRepository(store);
        await courses.save(course);
        const loaded = await courses.load('c1');
        expect(() => loaded.changeCapacity(2)).toThrow('Course "c1" already has a capacity of "2');
        expect(() => loaded.subscribeStudent('s3')).toThrow('Course "c1" is already fully booked');
      });

      test('is not saved over events that were added since it was loaded', async () => {
        const courses = new CourseRepository(store);
        await courses.save(CourseAggregate.create('c1', 'Course 01', 10));
        const [one, other] = await Promise.all([courses.load('c1'), courses.load('c1')]);
        one.subscribeStudent('s1');
        other.subscribeStudent('s2');
        await courses.save(one);
        await expect(courses.save(other)).rejects.toMatchObject({
          code: 'append_conflict',
          details: { position: '2' },
        });
        // Another course is no concern of it.
        await courses.save(CourseAggregate.create('c2', 'Course 02', 10));
        await expect(courses.save(CourseAggregate.create('c2', 'Course 02', 10))).rejects.toMatchObject({
          code: 'append_conflict',
        });
      });
    });
  });
}
